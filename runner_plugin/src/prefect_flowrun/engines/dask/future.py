"""A task on a Dask cluster, as those who submitted it hold it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import distributed
from distributed.client import FutureCancelledError

from prefect_flowrun.wire.outcomes import PackedState, opened

if TYPE_CHECKING:
    from prefect_flowrun.engines.dask.engine import DaskEngine

# An end that nobody has told of, such as that of a client which was closed, is seen this late.
LOOK_S = 1.0


class DaskFuture:
    """A `distributed.Future` behind the engine's Protocol."""

    __slots__ = ("__weakref__", "_engine", "_future", "_let_go", "_told", "small_outcome")

    def __init__(self, engine: DaskEngine, future: distributed.Future) -> None:
        self._engine = engine
        self._future = future
        self._let_go = False
        self._told: threading.Event | None = None
        self.small_outcome: bytes | None = None
        """Pickled, if the scheduler has sent it."""

    @property
    def future(self) -> distributed.Future:
        """Dask's own."""
        return self._future

    @property
    def key(self) -> str:
        """Of the task in Dask, as in its dashboard: begins with the task's name."""
        return str(self._future.key)

    def wait(self, timeout: float | None = None) -> bool:
        """See `EngineFuture.wait`."""
        if self.done():
            return True
        if self._engine.on_worker:
            return self._engine.wait([self], timeout) == 0
        # Not Dask's wait(): flows ask their futures one by one, and each question would go to its loop and back.
        self._told = told = threading.Event()
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.done():
            left = LOOK_S if deadline is None else min(LOOK_S, deadline - time.monotonic())
            if left <= 0:
                return False
            told.wait(left)
        return True

    def result(self) -> Any:
        """See `EngineFuture.result`."""
        if self.small_outcome is not None:
            return PackedState.of_small(self.small_outcome).open()
        return opened(self._future.result())

    def let_go(self) -> bool:
        """See `EngineFuture.let_go`."""
        if self.small_outcome is None:
            return False
        self.small_outcome = None
        self._let_go = True
        self._future.release()
        return True

    def done(self) -> bool:
        """See `EngineFuture.done`."""
        return self._let_go or cast("bool", self._future.done())

    def failure(self) -> BaseException | None:
        """See `EngineFuture.failure`."""
        if self._let_go or self._future.status == "finished":
            return None
        if self._future.cancelled():
            message = "the cluster or the flow has given it up"
            return cast("BaseException", FutureCancelledError(str(self._future.key), message))
        return cast("BaseException", self._future.exception())

    def given_up(self) -> str | None:
        """See `EngineFuture.given_up`."""
        return self._engine.given_up(self._future.key)

    def add_done_callback(self, fn: Callable[[], Any]) -> None:
        """See `EngineFuture.add_done_callback`."""

        def done(_: distributed.Future) -> None:
            if self._told is not None:
                self._told.set()
            fn()

        self._future.add_done_callback(done)
