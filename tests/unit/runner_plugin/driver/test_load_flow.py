"""The flow's file is the module that its name says, wherever it is imported from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_flowrun.driver.load_flow import FlowLoadError, load_flow
from prefect_flowrun.wire import by_value, module_changes

FLOW = "from prefect import flow\n\n\n@flow\ndef main() -> None:\n    pass\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(module_changes, "_here", None)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            by_value._marked.pop(name, None)
            del sys.modules[name]


def write(name: str, text: str = FLOW) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


@pytest.mark.parametrize(
    ("file", "entrypoint", "module"),
    [
        ("some_flow.py", "some_flow.py:main", "some_flow"),
        ("some-flow.py", "some-flow.py:main", "some-flow"),
        ("folder/inner_flow.py", "folder/inner_flow.py:main", "inner_flow"),
        ("package_x/module.py", "package_x.module:main", "package_x.module"),
        ("package_x/module.py", "package_x.module.main", "package_x.module"),
    ],
)
def test_a_flow_has_the_name_by_which_workers_import_it(file, entrypoint, module):
    write(file)
    flow = load_flow(entrypoint)
    assert flow.fn.__module__ == module
    assert not by_value.travels(module)
    assert sys.modules[module].main is flow


def test_modules_beside_the_file_and_in_the_working_directory_are_found():
    write("folder/near.py", "X = 1\n")
    write("far.py", "X = 2\n")
    write("folder/flow_a.py", f"import far, near\nassert (near.X, far.X) == (1, 2)\n{FLOW}")
    load_flow("folder/flow_a.py:main")


@pytest.mark.parametrize("file", ["queue.py", "code.py", "types.py", "prefect.py", "distributed.py", "my.flow.py"])
def test_a_file_named_like_another_module_travels_by_value_and_is_told(file, capsys):
    write(file)
    flow = load_flow(f"{file}:main")
    assert by_value.travels(flow.fn.__module__)
    assert f"{file} can't be imported as" in capsys.readouterr().err
    assert Path(str(sys.modules["queue"].__file__)).parent != Path.cwd()


def test_a_package_of_the_same_name_does_not_take_its_place(capsys):
    write("twice.py")
    write("twice/__init__.py", "")
    assert load_flow("twice.py:main").name == "main"
    assert "can't be imported as 'twice'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "entrypoint", "says"),
    [
        (FLOW, "nothing.py:main", "There is no file 'nothing.py' in"),
        (FLOW, "flow_b.py:other", "Flow function with name 'other' not found in 'flow_b.py'"),
        ("main = 1\n", "flow_b.py:main", "Function with name 'main' is not a flow"),
        ("import no_such_module\n", "flow_b.py:main", r"No module named 'no_such_module'\nflow_b.py:1 in <module>"),
        ("raise SystemExit(3)\n", "flow_b.py:main", "SystemExit: 3"),
        ("def main(:\n", "flow_b.py:main", "SyntaxError"),
        (FLOW, "no_such_package.module:main", "No module named 'no_such_package'"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_its_author(text, entrypoint, says):
    write("flow_b.py", text)
    with pytest.raises(FlowLoadError, match=says):
        load_flow(entrypoint)
