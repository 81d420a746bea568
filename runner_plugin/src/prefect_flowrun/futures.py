"""The future that `.submit` returns: Prefect's interface over an engine's future."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, PrefectWrappedFuture
from prefect.states import Crashed

from prefect_flowrun.engines.base import EngineFuture

if TYPE_CHECKING:
    from prefect_flowrun.engines.base import Engine

R = TypeVar("R")


class ClusterFuture(PrefectWrappedFuture[R, EngineFuture]):
    """A task run on a cluster of the run."""

    def __init__(self, task_run_id: UUID, wrapped_future: EngineFuture, engine: Engine) -> None:
        super().__init__(task_run_id, wrapped_future)
        self._engine = engine
        self._lock = threading.Lock()

    @property
    def engine(self) -> Engine:
        """The connection that the task was submitted through."""
        return self._engine

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the task run has ended.

        Args:
            timeout: seconds; returns without an error when the time is up. None waits without limit.
        """
        if self._final_state is not None:
            return
        state = self._outcome(timeout)
        with self._lock:
            # Two threads may get here at once; all must see the same state.
            self._final_state = self._final_state or state

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """Return what the task returned.

        Args:
            timeout: seconds to wait at most; None waits without limit.
            raise_on_failure: raise the task's exception instead of returning it.

        Raises:
            TimeoutError: the task run has not ended in time.
            Exception: what the task raised, or `prefect.exceptions.CrashedRun` if the cluster lost it.
        """
        self.wait(timeout)
        if self._final_state is None:
            raise TimeoutError(f"Task run {self.task_run_id} did not complete within {timeout} seconds")
        # _sync is not in the typed signature, but every stock future passes it.
        value: R = self._final_state.result(  # type: ignore[call-overload]
            raise_on_failure=raise_on_failure, _sync=True
        )
        return value

    def add_done_callback(self, fn: Callable[[PrefectFuture[R]], None]) -> None:
        """Have `fn` called with this future when the task run has ended, at once if it already has.

        Args:
            fn: called in a thread of the engine's.
        """
        if self._final_state is not None:
            fn(self)
            return

        def with_final_state(_: Any) -> None:
            self.wait()
            fn(self)

        self._wrapped_future.add_done_callback(with_final_state)

    def _outcome(self, timeout: float | None) -> State[R] | None:
        """Wait for the final state; None if the time is up before."""
        try:
            outcome = self._wrapped_future.result(timeout=timeout)
        # A CancelledError is not always an Exception, and Dask has one of its own.
        except (Exception, asyncio.CancelledError) as error:
            if timeout is not None and self._engine.is_timeout(error):
                return self._outcome(None) if self._wrapped_future.done() else None
            # The task never got as far as Prefect's engine on a worker, or its worker took the state along. Without
            # data in it, State.result() raises CrashedRun with this message.
            return Crashed(message=self._engine.describe_loss(error))
        if isinstance(outcome, State):
            return outcome
        return Crashed(message=f"The worker returned {type(outcome).__name__} instead of a state")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClusterFuture) and other.task_run_id == self.task_run_id

    def __hash__(self) -> int:
        return hash(self.task_run_id)
