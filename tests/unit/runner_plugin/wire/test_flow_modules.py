"""Which modules travel by value."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap

import cloudpickle
import pytest

from prefect_flowrun.wire.flow_modules import FlowModules, flow_roots


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a module, a package and a look-alike of an installed package."""
    for path, text in {
        "lonely.py": "def f():\n    return 1\n",
        "pack/__init__.py": "",
        "pack/inner.py": "def g():\n    return 2\n",
        "lib/site-packages/installed.py": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path / "lib" / "site-packages"))
    yield tmp_path
    for name in ("lonely", "pack", "pack.inner", "installed"):
        module = sys.modules.pop(name, None)
        if module is not None and name in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.unregister_pickle_by_value(module)


def test_the_users_modules_are_registered_and_installed_ones_are_not(project):
    for name in ("lonely", "pack.inner", "installed"):
        importlib.import_module(name)
    modules = FlowModules([project])
    modules.register()
    assert modules.registered == {"lonely", "pack", "pack.inner"}
    assert {"lonely", "pack.inner"} <= cloudpickle.list_registry_pickle_by_value()


def test_a_module_imported_later_is_registered_by_the_next_call(project):
    modules = FlowModules([project])
    modules.register()
    importlib.import_module("lonely")
    assert "lonely" not in modules.registered
    modules.register()
    assert "lonely" in modules.registered


@pytest.mark.parametrize("one_before", [False, True])
def test_a_second_pickler_is_told_of_all_modules_when_it_appears(project, monkeypatch, one_before):
    """Also where it takes the place of another: the number of modules and of picklers tells nothing then."""
    told = []
    importlib.import_module("lonely")
    monkeypatch.delitem(sys.modules, "ray.cloudpickle", raising=False)
    if one_before:
        before = type(sys)("ray.cloudpickle")
        before.register_pickle_by_value = lambda module: None
        monkeypatch.setitem(sys.modules, "ray.cloudpickle", before)
    modules = FlowModules([project])
    modules.register()
    fake = type(sys)("ray.cloudpickle")
    fake.register_pickle_by_value = lambda module: told.append(module.__name__)
    monkeypatch.setitem(sys.modules, "ray.cloudpickle", fake)
    modules.register()
    assert "lonely" in told


def test_no_module_of_the_standard_library_or_of_an_installed_package_counts_as_the_users():
    from pathlib import Path

    modules = FlowModules([Path("/")])
    modules.register()
    roots = {name.partition(".")[0] for name in modules.registered}
    assert not roots & {"json", "asyncio", "prefect", "distributed", "pydantic", "prefect_flowrun"}
    for name in modules.registered:
        cloudpickle.unregister_pickle_by_value(sys.modules[name])


def test_a_registered_function_runs_where_its_file_is_missing(project):
    module = importlib.import_module("lonely")
    FlowModules([project]).register()
    data = cloudpickle.dumps(module.f)
    script = textwrap.dedent(f"""
        import pickle
        assert pickle.loads({data!r})() == 1
    """)
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_roots_are_the_entrypoints_folder_and_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert flow_roots("flows/etl.py:etl") == [tmp_path, tmp_path / "flows"]
    assert flow_roots("package.module.flow") == [tmp_path]
