"""Functions travel as names wherever a worker can import them, and take no globals along."""

from __future__ import annotations

import importlib.util
import pickle
import sys
import threading
from types import ModuleType

import cloudpickle
import pytest
from prefect import flow, task

from prefect_flowrun.wire import by_value
from prefect_flowrun.wire.pickler import dumps

# Its flows and tasks are to travel by name.
pytestmark = pytest.mark.usefixtures("importable")

LOCK = threading.Lock()


class Kind:
    @task
    def of_a_class(self) -> int:
        return 1

    @staticmethod
    @task
    def static() -> int:
        return 2


@task
def named() -> str:
    with LOCK:
        return "named"


@flow
def a_flow() -> None:
    """Nothing."""


def decorated(function):
    def wrapper():
        return function(), LOCK.locked()

    return wrapper


wrapped = decorated(lambda: LOCK.acquire(blocking=False) and LOCK.release())


def again(value):
    return pickle.loads(dumps(value))


def test_a_tasks_function_is_its_own_self_again():
    assert again(named).fn is named.fn
    assert again(named.with_options(retries=3)).retries == 3
    assert again(named.with_options(retries=3)).fn is named.fn
    assert again(a_flow).fn is a_flow.fn


def test_so_is_that_of_a_task_in_a_class():
    assert again(Kind.__dict__["of_a_class"]).fn is Kind.__dict__["of_a_class"].fn
    assert again(Kind.__dict__["static"].__func__).fn is Kind.__dict__["static"].__func__.fn


def test_a_closure_keeps_what_it_encloses_and_uses_its_module():
    factor = 3

    @task
    def inner(number: int = 2) -> int:
        """Multiply."""
        with LOCK:
            return number * factor

    copy = again(inner)
    assert copy.fn() == 6
    assert copy.fn.__globals__ is globals()
    assert (copy.fn.__doc__, copy.fn.__defaults__) == ("Multiply.", (2,))


def test_a_function_that_calls_itself_from_within_still_does():
    def factorial(number: int) -> int:
        return 1 if number < 2 else number * factorial(number - 1)

    assert again(factorial)(5) == 120


def test_a_cell_that_is_not_bound_yet_stays_so():
    def early():
        return late

    copy = again(early)
    with pytest.raises(NameError):
        copy()
    late = 1
    assert early() == late


def test_a_wrapper_of_a_decorator_travels_though_nobody_can_name_it():
    assert again(wrapped)() == (None, False)


@pytest.fixture
def odd(monkeypatch):
    """A module that only this process has, as Prefect's loader makes them."""
    module = ModuleType("__prefect_loader_1234__")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec("FACTOR = 7\ndef times(x):\n    return x * FACTOR\nclass Odd:\n    pass\n", vars(module))
    yield module
    by_value._marked.pop(module.__name__, None)


def test_what_a_worker_cannot_import_travels_by_value(odd, monkeypatch):
    data = dumps((odd.times, odd.Odd))
    monkeypatch.delitem(sys.modules, odd.__name__)
    times, _ = pickle.loads(data)
    assert times(2) == 14


def load(name, file, monkeypatch):
    """Load a file under a name, as pytest's importlib mode does and loaders of plug-ins do."""
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["flows_of_nowhere", "no_package.flows", "colorsys"])
def test_so_does_a_module_that_an_import_would_not_find_at_its_place(name, tmp_path, monkeypatch):
    file = tmp_path / "flows.py"
    file.write_text("FACTOR = 7\ndef times(x):\n    return x * FACTOR\nclass Odd:\n    value = 3\n")
    module = load(name, file, monkeypatch)
    try:
        data = dumps((module.Odd(), module.times))
    finally:
        by_value._marked.pop(name, None)
        cloudpickle.unregister_pickle_by_value(module)
    monkeypatch.delitem(sys.modules, name)
    odd, times = pickle.loads(data)
    assert (odd.value, times(2)) == (3, 14)


def test_one_that_it_would_find_travels_as_a_name(tmp_path, monkeypatch):
    file = tmp_path / "flows_of_somewhere.py"
    file.write_text("def times(x):\n    return x * 7\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = load("flows_of_somewhere", file, monkeypatch)
    assert again(module.times) is module.times
