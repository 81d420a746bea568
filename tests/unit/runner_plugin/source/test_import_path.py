"""The flow's folders are the first on the path, here and in child processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from prefect_flowrun.source import import_path


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "/of/the/user")


@pytest.mark.parametrize(
    ("entrypoint", "folders"),
    [
        ("flow.py:main", ["."]),
        ("lib/flow.py:main", ["lib", "."]),
        ("package.module:main", ["."]),
        ("package.module.main", ["."]),
        ("", ["."]),
    ],
)
def test_the_folders_are_those_of_the_file_and_the_working_directory(entrypoint, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert import_path.folders_of(entrypoint) == [str(tmp_path / folder) for folder in folders]


def test_children_find_the_flows_modules_before_all_others_and_the_users_own_path_after_them(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("print('mine')")
    import_path.put_first([str(tmp_path)])
    import_path.put_first([str(tmp_path)])
    assert sys.path[0] == str(tmp_path)
    assert os.environ["PYTHONPATH"] == f"{tmp_path}{os.pathsep}/of/the/user"
    done = subprocess.run([sys.executable, "-c", "import mine"], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == "mine\n"


def test_a_file_that_came_after_the_folder_was_looked_at_is_found(tmp_path: Path) -> None:
    import_path.put_first([str(tmp_path)])
    with pytest.raises(ImportError):
        import came_late
    (tmp_path / "came_late.py").write_text("")
    import_path.put_first([str(tmp_path)])
    import came_late  # noqa: F401


def test_a_folder_that_is_left_is_looked_into_no_more(tmp_path: Path) -> None:
    import_path.put_first([str(tmp_path), str(tmp_path / "lib")])
    import_path.leave(str(tmp_path))
    assert not [entry for entry in sys.path if entry.startswith(str(tmp_path))]
    assert os.environ["PYTHONPATH"] == "/of/the/user"
