"""Pickles functions as references to the modules that workers import, wherever there is such a module.

cloudpickle alone takes the function of a task for one that nobody can import, since its name in the module is the
task's, and copies it with all globals that it uses: a lock or a client among them can't travel, a class gets a second
identity, and a module's own state is left behind. Here

- a task's or flow's function is looked up under that name;
- a function without a name of its own (a lambda, a closure) travels as code, and its globals are those of its module
  on the worker.
"""

from __future__ import annotations

import importlib
import inspect
import io
import sys
from types import CellType, CodeType, FunctionType
from typing import Any

import cloudpickle
from prefect.flows import Flow
from prefect.tasks import Task

from prefect_flowrun.wire import by_value

_NOTHING = object()


class Pickler(cloudpickle.Pickler):  # type: ignore[misc] # cloudpickle is untyped
    """See above."""

    def __init__(self, file: io.BytesIO) -> None:
        """Prepare.

        Args:
            file: where the pickle goes.
        """
        super().__init__(file, protocol=5)

    def reducer_override(self, obj: Any) -> Any:
        """See `pickle.Pickler.reducer_override`."""
        if type(obj) is FunctionType and not by_value.travels(obj.__module__):
            reduced = _reduce(obj)
            if reduced is not None:
                return reduced
        elif isinstance(obj, type):
            by_value.travels(obj.__module__)  # which tells cloudpickle
        return super().reducer_override(obj)


def dumps(value: Any) -> bytes:
    """Pickle a value.

    Args:
        value: may hold functions of any kind.
    """
    file = io.BytesIO()
    Pickler(file).dump(value)
    return file.getvalue()


def is_named(function: FunctionType) -> bool:
    """Tell whether a function travels as a name, and so captures nothing.

    Args:
        function: a plain one.
    """
    if by_value.travels(function.__module__):
        return False
    found = _find(function.__module__, function.__qualname__)
    return found is function or _function_of(found) is function


def _reduce(function: FunctionType) -> tuple[Any, ...] | None:
    module, name = function.__module__, function.__qualname__
    found = _find(module, name)
    if found is function:
        return None  # as ever
    if _function_of(found) is function:
        return _named, (module, name)
    if function.__globals__ is not vars(sys.modules[module]):
        return None
    cells = function.__closure__ or ()
    return _make, (function.__code__, module, len(cells)), _state(function, cells), None, None, _set_state


def _find(module: str, name: str) -> Any:
    """Look a dotted name up as it is written in the class, not bound to it."""
    found: Any = sys.modules.get(module) or importlib.import_module(module)
    for part in name.split("."):
        found = inspect.getattr_static(found, part, _NOTHING)
        if isinstance(found, staticmethod | classmethod):
            found = found.__func__
    return found


def _function_of(found: Any) -> Any:
    return found.fn if isinstance(found, Task | Flow) else _NOTHING


def _named(module: str, name: str) -> Any:
    importlib.import_module(module)
    function = _function_of(_find(module, name))
    if function is _NOTHING:
        raise AttributeError(f"module {module!r} has no task or flow {name!r} on this worker")
    return function


def _make(code: CodeType, module: str, cells: int) -> FunctionType:
    return FunctionType(
        code, vars(importlib.import_module(module)), closure=tuple(CellType() for _ in range(cells)) or None
    )


def _state(function: FunctionType, cells: tuple[CellType, ...]) -> tuple[Any, ...]:
    names = {name: getattr(function, name) for name in ("__name__", "__qualname__", "__doc__", "__module__")}
    values = {"__defaults__": function.__defaults__, "__kwdefaults__": function.__kwdefaults__}
    return (
        {**names, **values, "__annotations__": function.__annotations__},
        vars(function),
        [_content(c) for c in cells],
    )


def _content(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # not bound yet
        return ()


def _set_state(function: FunctionType, state: tuple[Any, ...]) -> None:
    attributes, own, contents = state
    for name, value in attributes.items():
        setattr(function, name, value)
    vars(function).update(own)
    for cell, content in zip(function.__closure__ or (), contents, strict=True):
        if content:
            cell.cell_contents = content[0]
