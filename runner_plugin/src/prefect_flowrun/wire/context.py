"""Prefect's context and the task, serialised once and again only when something in them has changed.

Serialising them costs Prefect 15 to 20 ms per submit, nearly all of it for settings that stay the same for the whole
run. They are compared by the identity of their parts, which takes microseconds.
"""

from __future__ import annotations

import copy
import functools
import itertools
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from enum import Enum
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from prefect import context as prefect_context
from prefect.context import FlowRunContext, SettingsContext, TagsContext, TaskRunContext, serialize_context
from prefect.flows import Flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.tasks import Task

from prefect_flowrun.wire import by_value
from prefect_flowrun.wire.pickler import dumps, is_named
from prefect_flowrun.wire.shared_blobs import Blob
from prefect_flowrun.wire.travelling_settings import travelling

# Enough for a flow that changes tags in a loop, or whose tasks are many.
_KEPT = 256
_KEPT_BYTES = 32 * 2**20
# Where Prefect keeps the instance of a task that is a method, on the function that all instances share.
_BOUND_TO = "__prefect_self__"
# Captured by a function, these mean the same as long as they are the same objects.
_UNCHANGING = (
    *(type(None), bool, int, float, complex, str, bytes, Enum),
    *(ModuleType, FunctionType, BuiltinFunctionType, type, Task, Flow, logging.Logger),
)


class Cache:
    """Remembers blobs by the identity of the objects that they were made of."""

    def __init__(self) -> None:
        # The parts are kept alive, or another object could get the address of one that is gone.
        self._blobs: OrderedDict[tuple[int, ...], tuple[tuple[Any, ...], Blob]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, parts: tuple[Any, ...], make: Callable[[], bytes]) -> Blob:
        """Return the blob of these parts.

        Args:
            parts: everything that the blob depends on.
            make: serialises them.
        """
        key = tuple(map(id, parts))
        with self._lock:
            if (known := self._blobs.get(key)) is not None:
                self._blobs.move_to_end(key)
                return known[1]
        blob = Blob(make())
        with self._lock:
            if key not in self._blobs:
                self._bytes += len(blob.data)
            self._blobs[key] = (parts, blob)
            while len(self._blobs) > 1 and (len(self._blobs) > _KEPT or self._bytes > _KEPT_BYTES):
                self._bytes -= len(self._blobs.popitem(last=False)[1][1].data)
        return blob


class Contexts:
    """Serialised contexts of the callers of `.submit`."""

    def __init__(self, *, with_secrets: bool) -> None:
        """Begin with none.

        Args:
            with_secrets: whether the API key and its like travel; needed only where workers have none of their own.
        """
        self._with_secrets = with_secrets
        self._cache = Cache()
        self._tags: dict[frozenset[str], frozenset[str]] = {}

    def current(self) -> Blob:
        """Return the context of the caller: flow run, parent task run, tags, settings, deployment."""
        tags = frozenset(TagsContext.get().current_tags)
        parts = (
            FlowRunContext.get(),
            TaskRunContext.get(),
            self._tags.setdefault(tags, tags),  # equal tags are the same tags, whichever `with` set them
            SettingsContext.get(),
            # Newer than the oldest Prefect that we support.
            *(getattr(prefect_context, name).get() for name in _deployment_variables()),
        )
        return self._cache.get(parts, self._serialize)

    def _serialize(self) -> bytes:
        serialized = _with_api_url()
        if (settings := SettingsContext.get()) is not None and serialized.get("settings_context"):
            serialized["settings_context"] = travelling(
                serialized["settings_context"], settings.settings, with_secrets=self._with_secrets
            )
        return dumps(serialized)


class Tasks:
    """Serialised tasks."""

    def __init__(self) -> None:
        self._cache = Cache()

    def get(self, task: Task[..., Any]) -> Blob:
        """Return a task as it is now.

        Args:
            task: the task. Attributes that were set and names that its function uses and that were bound anew since the
                last call are noticed. What its function captures and may have been changed in place is serialised
                again; what the functions that it calls capture is not looked at.
        """
        captured = _captured(task.fn)
        if not all(isinstance(each, _UNCHANGING) for each in captured):
            return Blob(dumps(_unbound(task)))
        # By what it consists of: each access to a task that is a method makes another copy of it.
        parts = (type(task), *itertools.chain.from_iterable(vars(task).items()), *captured)
        return self._cache.get(parts, lambda: dumps(_unbound(task)))


def _unbound(task: Task[..., Any]) -> Task[..., Any]:
    """Return a task without the instance whose method it is: that is a parameter of the call already."""
    fn = task.fn
    if not isinstance(fn, FunctionType) or _BOUND_TO not in vars(fn) or is_named(fn):
        return task
    twin = FunctionType(fn.__code__, fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)
    twin.__kwdefaults__ = fn.__kwdefaults__
    functools.update_wrapper(twin, fn)
    for name in (_BOUND_TO, "__wrapped__"):
        vars(twin).pop(name, None)
    if (wrapped := vars(fn).get("__wrapped__")) is not None:
        twin.__wrapped__ = wrapped  # type: ignore[attr-defined]
    unbound = copy.copy(task)
    unbound.fn = twin
    return unbound


def _captured(function: Any) -> list[Any]:
    """List what a function's pickle captures of its surroundings: closure and defaults, globals if it has no module."""
    if not isinstance(function, FunctionType):
        return [function]  # an object that can be called: who knows
    if is_named(function):
        return []
    parts = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    if by_value.travels(function.__module__):
        surroundings = function.__globals__
        parts.extend(surroundings[name] for name in _names(function.__code__) if name in surroundings)
    for cell in function.__closure__ or ():
        try:
            parts.append(cell.cell_contents)
        except ValueError:  # not bound yet
            parts.append(None)
    return parts


def _names(code: CodeType) -> Iterator[str]:
    """List the globals that code uses, that of its comprehensions and inner functions included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _with_api_url() -> dict[str, Any]:
    flow = FlowRunContext.get()
    if flow is None or PREFECT_API_URL.value():
        return serialize_context()
    # On a laptop without a server Prefect has started one for this process. Workers must use that one: without an
    # address each would start its own.
    with temporary_settings({PREFECT_API_URL: str(flow.client.api_url)}):
        return serialize_context()


def _deployment_variables() -> list[str]:
    return [name for name in ("_deployment_id", "_deployment_parameters") if hasattr(prefect_context, name)]
