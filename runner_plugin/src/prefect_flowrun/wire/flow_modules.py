"""The flow's own modules reach the workers by value.

Functions of the entrypoint's file travel in the pickle, but what they import from files beside it travels by
reference, and the worker does not have those files (ModuleNotFoundError). Registering such modules makes cloudpickle
ship them too.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import site
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from prefect_flowrun import environment

# Ray vendors its own copy, with its own register.
_PICKLERS = ("cloudpickle", "ray.cloudpickle")


class FlowModules:
    """Finds modules under the given folders and registers them, each once."""

    def __init__(self, roots: Iterable[Path]) -> None:
        """Prepare; nothing is registered yet.

        Args:
            roots: folders that hold the user's code: the entrypoint's folder and the working directory.
        """
        self._roots = tuple(sorted({_with_separator(root) for root in roots}))
        self._installed = tuple(sorted(_installed_folders()))
        self._real: dict[str, str] = {}
        self._seen: dict[str, int] = {}
        self._modules_seen = 0
        self._picklers: list[ModuleType] = []
        self._withdrawn = False
        self.registered: set[str] = set()

    def register(self) -> None:
        """Register what was imported since the last call. Cheap when nothing was, so call it before every submit."""
        picklers = [sys.modules[name] for name in _PICKLERS if name in sys.modules]
        if (picklers == self._picklers and len(sys.modules) == self._modules_seen) or self._withdrawn:
            return
        if picklers != self._picklers:
            self._seen.clear()  # a pickler has joined that knows none of them
        self._modules_seen, self._picklers = len(sys.modules), picklers
        for name, module in list(sys.modules.items()):
            if self._seen.get(name) == id(module):
                continue
            self._seen[name] = id(module)
            if isinstance(module, ModuleType) and self._is_the_users(name, module):
                for pickler in picklers:
                    pickler.register_pickle_by_value(module)
                self.registered.add(name)

    def withdraw(self) -> bool:
        """Let all modules travel by reference again, for good.

        Returns:
            Whether there was anything to withdraw.
        """
        self._withdrawn = True
        for name in self.registered:
            for pickler in (sys.modules[name] for name in _PICKLERS if name in sys.modules):
                with contextlib.suppress(ValueError):  # a pickler that was imported since
                    pickler.unregister_pickle_by_value(sys.modules[name])
        found = bool(self.registered)
        self.registered.clear()
        return found

    def reinstate(self) -> None:
        """Take `withdraw` back."""
        self._withdrawn = False
        self._seen.clear()
        self._picklers = []

    def _is_the_users(self, name: str, module: ModuleType) -> bool:
        # __main__ always travels by value, and the driver's own package is on the workers.
        if name == "__main__" or name.partition(".")[0] == "prefect_flowrun":
            return False
        return any(self._is_users_file(file) for file in _files(module))

    def _is_users_file(self, file: str) -> bool:
        # Compiled modules can't travel by value.
        if not file.endswith(".py") or "-packages" in file:
            return False
        folder, name = os.path.split(file)
        if folder not in self._real:
            # Once per folder: there are a thousand modules, and resolving links costs a system call per level.
            self._real[folder] = os.path.realpath(folder)
        path = os.path.join(self._real[folder], name)  # noqa: PTH118 - startswith below wants a string
        return path.startswith(self._roots) and not path.startswith(self._installed) and "-packages" not in path


_modules: FlowModules | None = None
_modules_lock = threading.Lock()


def flow_modules() -> FlowModules:
    """Return the modules of this process's flow."""
    global _modules  # noqa: PLW0603 - one per process, like sys.modules itself
    with _modules_lock:
        if _modules is None:
            _modules = FlowModules(flow_roots(os.environ.get(environment.ENTRYPOINT, "")))
        return _modules


def flow_roots(entrypoint: str) -> list[Path]:
    """Folders that hold the user's code.

    Args:
        entrypoint: `dir/file.py:function` or `package.module.function`.
    """
    roots = [Path.cwd()]
    file, separator, _ = entrypoint.rpartition(":")
    if separator and file.endswith(".py"):
        roots.append(Path(file).resolve().parent)
    return roots


def _files(module: ModuleType) -> Iterator[str]:
    file = getattr(module, "__file__", None)
    if file:
        yield file


def _installed_folders() -> set[str]:
    # Only folders of packages, not sys.prefix itself: a user's code may live beside bin/ of a virtual environment.
    folders = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders.update(site.getsitepackages())
    folders.add(str(Path(importlib.__file__).parent.parent))
    return {_with_separator(Path(folder)) for folder in folders if folder}


def _with_separator(folder: Path) -> str:
    return os.path.join(os.path.realpath(folder), "")  # noqa: PTH118 - the trailing separator is the point
