"""`ray.init()` and `ray.shutdown()` as a flow calls them: in a run they join and leave the run's cluster.

Flows have these lines for a laptop, where they start a Ray; on KubeRay they join the cluster of the pod. A second,
private Ray in the driver's pod would have no memory, and the runner could not use it (issue 11). Imports no ray: in the
driver the functions are replaced when the flow imports it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.abc
import importlib.util
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Protocol

DRAIN_TIMEOUT_S = 10.0
_ORIGINAL = "__flowrun_original__"
# Arguments of ray.init() that say how Ray logs in this process: they have a meaning at any time.
_LOGGING = ("configure_logging", "logging_level", "logging_format")


class Destination(Protocol):
    """Where the calls lead."""

    def is_ours(self, address: str) -> bool:
        """Tell whether an address is that of the run's cluster."""

    def join(self, options: dict[str, Any]) -> None:
        """Connect this process, which is not connected, with the options of `ray.init`."""

    def stay(self, options: dict[str, Any]) -> None:
        """Take in that a process that is connected was told to connect."""

    def leave(self) -> bool:
        """Take in that the connection is to be closed; return False if it must stay."""


class Connected(Protocol):
    """Uses the connection, and is told when the flow closes it."""

    def drain(self, timeout: float) -> object:
        """Have every worker send the logs and events it still holds."""

    def close(self) -> None:
        """Let those go who wait for something of the cluster."""


# Of this process.
users: weakref.WeakSet[Connected] = weakref.WeakSet()


class OnWorker:
    """In a process that Ray runs tasks in: it is connected, and stays so."""

    def is_ours(self, _address: str) -> bool:
        """Return False: an address names another cluster."""
        return False

    def join(self, _options: dict[str, Any]) -> None:
        """Do nothing."""

    def stay(self, _options: dict[str, Any]) -> None:
        """Do nothing."""

    def leave(self) -> bool:
        """Return False: without its connection the process would be lost."""
        return False


def route(ray: ModuleType, destination: Destination) -> None:
    """Replace `ray.init` and `ray.shutdown`.

    Args:
        ray: the imported package.
        destination: where they lead.
    """
    init = original(ray.init)

    @functools.wraps(init)
    def joining(address: str | None = None, **options: Any) -> Any:
        if address not in (None, "", "auto") and not destination.is_ours(address):
            return init(address, **options)
        if ray.is_initialized():
            destination.stay(options)
        else:
            destination.join(options)
        with keeping_sigterm():
            # Connected, so this only returns what every call of it returns.
            return init(ignore_reinit_error=True, **{name: options[name] for name in _LOGGING if name in options})

    _replace(ray, "init", joining)
    tell_users(ray, destination.leave)


def tell_users(ray: ModuleType, may_leave: Callable[[], bool] = lambda: True) -> None:
    """Have `ray.shutdown` tell those who use the connection.

    Args:
        ray: the imported package.
        may_leave: asked before.
    """
    shutdown = original(ray.shutdown)

    @functools.wraps(shutdown)
    def leaving(**options: Any) -> None:
        if not may_leave():
            return
        connected = list(users)
        for user in connected:
            # Ray ends the processes that hold logs and events of this driver's tasks.
            user.drain(DRAIN_TIMEOUT_S)
        shutdown(**options)
        for user in connected:
            user.close()

    _replace(ray, "shutdown", leaving)


def is_replaced(function: Callable[..., Any]) -> bool:
    """Tell whether a function of Ray's is replaced already.

    Args:
        function: `ray.init` or `ray.shutdown`.
    """
    return hasattr(function, _ORIGINAL)


def route_when_imported(destination: Destination) -> None:
    """Do the same at the end of the package's import, which takes a second that not every flow needs.

    Args:
        destination: where the calls lead.
    """
    if "ray" in sys.modules:
        route(sys.modules["ray"], destination)
    else:
        sys.meta_path.insert(0, _AtImport(destination))


def original(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return Ray's own function.

    Args:
        function: `ray.init` or `ray.shutdown`, replaced or not.
    """
    own: Callable[..., Any] = getattr(function, _ORIGINAL, function)
    return own


@contextlib.contextmanager
def keeping_sigterm() -> Iterator[None]:
    """Restore the handler of SIGTERM, for which `ray.init` puts sys.exit(): nobody would report the run."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and handler is not None:
            signal.signal(signal.SIGTERM, handler)


def _replace(ray: ModuleType, name: str, by: Callable[..., Any]) -> None:
    setattr(by, _ORIGINAL, original(getattr(ray, name)))
    setattr(ray, name, by)


class _AtImport(importlib.abc.MetaPathFinder):
    """Finds `ray` once, where the others find it, and replaces its functions when it has run."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "ray":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_route(module: ModuleType) -> None:
            execute(module)
            route(module, self._destination)

        spec.loader.exec_module = execute_and_route  # type: ignore[method-assign]
        return spec
