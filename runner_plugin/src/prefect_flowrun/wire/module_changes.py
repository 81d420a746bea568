"""What a flow has changed in its modules since they were imported, so that tasks see it on workers too.

    import settings
    settings.LEVEL = 2         # or settings.LIMITS["a"] = 3, or `global` in the flow's own file
    work.submit()

In threads of the flow's process the task sees 2. A worker imports the module anew, and would see what is written in the
file. So values that were bound to a name since the import travel, and plain containers and simple objects that were
changed in place; what can't be pickled, or is large, stays what the worker makes of it (a client, a connection).
"""

from __future__ import annotations

import collections
import importlib
import io
import marshal
import operator
import os
import pickle
import sys
import sysconfig
import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from flowrun_api import environment
from prefect_flowrun.source import import_path
from prefect_flowrun.wire import by_value
from prefect_flowrun.wire.pickler import Pickler
from prefect_flowrun.wire.shared_blobs import Blob

_LIMIT_BYTES = 2**20
# Of what is compared at each submit; larger containers are only noticed when they are bound anew.
_COMPARED_BYTES = 16 * 2**10
_COMPARED_ITEMS = 4096
_PLAIN: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (dict, dict),
    ((list, collections.deque), list),
    (set, set),
    (bytearray, bytes),
)
# Whose order of references would depend on who else holds a value.
_WITHOUT_REFERENCES = 2
_OURS = "prefect_flowrun"


class _TooLargeError(Exception):
    """More was written than may travel."""


class _Limited(io.BytesIO):
    def write(self, data: Any) -> int:
        if self.tell() + len(data) > _LIMIT_BYTES:
            raise _TooLargeError
        return super().write(data)


class _Watched:
    """The names of one module as they were when they were last looked at."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self._values: dict[str, Any] = {}
        self._list: list[Any] = []
        self._prints: dict[str, tuple[Any, bytes]] = {}
        self.changed()

    def changed(self) -> dict[str, Any]:
        """Return the values of the names that have changed since the last call."""
        found = {}
        now = list(vars(self.module).values())
        if len(now) != len(self._list) or not all(map(operator.is_, now, self._list)):
            names = dict(vars(self.module))
            found = {n: v for n, v in names.items() if not n.startswith("__") and self._values.get(n, self) is not v}
            self._values, self._list = names, list(names.values())
            self._prints = {n: kept for n, kept in self._prints.items() if names.get(n, self) is kept[0]}
            for name, value in found.items():
                if (made := _print(value)) is not None:
                    self._prints[name] = value, made
        for name, (value, before) in list(self._prints.items()):
            if (made := _print(value)) != before:
                found[name] = value
                if made is None:
                    del self._prints[name]  # it holds other things than data now
                else:
                    self._prints[name] = value, made
        return found


class ModuleChanges:
    """Watches the modules below some folders."""

    def __init__(self, folders: Sequence[str]) -> None:
        """Prepare; nothing is watched before `look`.

        Args:
            folders: of the flow's code.
        """
        self._folders = tuple(os.path.join(folder, "") for folder in folders)  # noqa: PTH118 - startswith wants strings
        self._installed = tuple(
            os.path.join(folder, "")  # noqa: PTH118
            for kind in ("stdlib", "platstdlib", "purelib", "platlib")
            if (folder := sysconfig.get_path(kind))
        )
        self._lock = threading.Lock()
        self._count = 0
        self._watched: dict[str, _Watched] = {}
        self._changes: dict[tuple[str, str], bytes] = {}
        self._blob: Blob | None = None

    def modules(self) -> list[ModuleType]:
        """Return the flow's own modules that are imported."""
        self.look()
        return [each.module for each in self._watched.values()]

    def look(self) -> None:
        """Watch modules that were imported since the last call, from now on."""
        if len(sys.modules) == self._count:
            return
        with self._lock:
            self._count = len(sys.modules)
            for name, module in list(sys.modules.items()):
                known = self._watched.get(name)
                if (known is None or known.module is not module) and self._is_the_flows(name, module):
                    self._watched[name] = _Watched(module)

    def current(self) -> Blob | None:
        """Return what workers must be told, None if there is nothing. Takes microseconds while nothing changes."""
        self.look()
        with self._lock:
            news = [(name, key, value) for name, w in self._watched.items() for key, value in w.changed().items()]
            if news:
                for name, key, value in news:
                    data = _pickled(value)
                    if data is None:
                        self._changes.pop((name, key), None)
                    else:
                        self._changes[name, key] = data
                told = [(module, name, data) for (module, name), data in self._changes.items()]
                self._blob = Blob(marshal.dumps(told)) if told else None
            return self._blob

    def take(self, data: bytes) -> None:
        """Make the changes here, on a worker, and tell them on: a task may submit others to other workers.

        Args:
            data: of the driver's blob.
        """
        for module, name, value in marshal.loads(data):  # noqa: S302 - from our own driver
            try:
                setattr(importlib.import_module(module), name, pickle.loads(value))  # noqa: S301
            except Exception:  # noqa: S112 - a module of the driver's alone, perhaps; a task that needs it will say so
                continue
        self.look()
        with self._lock:
            for watched in self._watched.values():
                watched.changed()
            self._changes = {(module, name): value for module, name, value in marshal.loads(data)}  # noqa: S302
            self._blob = Blob(data)

    def _is_the_flows(self, name: str, module: Any) -> bool:
        file = getattr(module, "__file__", None)
        if not isinstance(module, ModuleType) or not isinstance(file, str) or not file.endswith(".py"):
            return False
        if by_value.travels(name) or name.partition(".")[0] == _OURS or "-packages" in file:
            return False
        return file.startswith(self._folders) and not file.startswith(self._installed)


_here: ModuleChanges | None = None
_here_lock = threading.Lock()


def of_this_process() -> ModuleChanges:
    """Return the changes in the modules of this process's flow."""
    global _here  # noqa: PLW0603 - one per process, like sys.modules itself
    with _here_lock:
        if _here is None:
            _here = ModuleChanges(_code_folders())
        return _here


def _code_folders() -> list[str]:
    folders = import_path.folders_of(os.environ.get(environment.ENTRYPOINT, ""))
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script and environment.ENTRYPOINT not in os.environ:
        folders.append(os.path.dirname(os.path.abspath(script)))  # noqa: PTH100, PTH120
    return folders


def _print(value: Any) -> bytes | None:
    """Return the content of plain data that can be changed in place, or of a simple object; None for all else."""
    content = _content(value)
    if content is None:
        return None
    try:
        data = marshal.dumps(content, _WITHOUT_REFERENCES)
    except ValueError:
        return None
    return data if len(data) <= _COMPARED_BYTES else None


def _content(value: Any) -> Any:
    for kinds, plain in _PLAIN:
        if isinstance(value, kinds):
            return plain(value) if len(value) <= _COMPARED_ITEMS else None
    if isinstance(value, type | ModuleType) or callable(value):
        return None
    return getattr(value, "__dict__", None) or None


def _pickled(value: Any) -> bytes | None:
    if isinstance(value, ModuleType):
        return None
    file = _Limited()
    try:
        Pickler(file).dump(value)
    except Exception:  # of whatever kind: a lock, a client
        return None
    return file.getvalue()
