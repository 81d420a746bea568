"""The future that `.submit` returns: Prefect's interface over an engine's future.

Waiting moves no data. The task's state, and with it the result, stays on the cluster until `.state` or `.result()`
asks for it, or for good if only other tasks of the cluster use it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, PrefectWrappedFuture
from prefect.results import ResultRecord  # type: ignore[attr-defined] # its home has moved, this name has stayed
from prefect.states import Completed, Crashed

from prefect_flowrun.engines.base import EngineFuture
from prefect_flowrun.wire.resolved_futures import arrived_future

if TYPE_CHECKING:
    from prefect_flowrun.engines.base import Engine

try:
    from prefect._flow_run_suspension import raise_if_flow_run_suspension_requested as _raise_if_suspended
except ImportError:  # Prefect before 3.8: a flow can't be suspended from outside while it waits

    def _raise_if_suspended() -> None:
        """Do nothing."""


R = TypeVar("R")


class ClusterFuture(PrefectWrappedFuture[R, EngineFuture]):
    """A task run on a cluster of the run."""

    def __init__(self, task_run_id: UUID, wrapped_future: EngineFuture, engine: Engine) -> None:
        super().__init__(task_run_id, wrapped_future)
        self._engine = engine
        self._lock = threading.Lock()
        self._kept = self._let_go = self._left_behind = False

    @property
    def engine(self) -> Engine:
        """The connection that the task was submitted through."""
        return self._engine

    def keep_on_cluster(self) -> bool:
        """Have the outcome stay on the cluster, for another task.

        Returns:
            Whether it is there; if not, it has to travel from here.
        """
        with self._lock:
            self._kept = True
            return not self._let_go

    @property
    def state(self) -> State[Any]:
        """The state of the task run: its final one, or what Prefect's API says of it meanwhile."""
        if self._final_state is None and not self._wrapped_future.done():
            return super().state
        return self._load()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the task run has ended.

        Args:
            timeout: seconds; returns without an error when the time is up. None waits without limit.
        """
        if self._final_state is None:
            self._wrapped_future.wait(timeout)
        _raise_if_suspended()

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """Return what the task returned.

        Args:
            timeout: seconds to wait at most; None waits without limit.
            raise_on_failure: raise the task's exception instead of returning it.

        Raises:
            TimeoutError: the task run has not ended in time.
            Exception: what the task raised, or `prefect.exceptions.CrashedRun` if the cluster lost it.
        """
        if self._final_state is None and not self._wrapped_future.wait(timeout):
            _raise_if_suspended()
            raise TimeoutError(f"Task run {self.task_run_id} did not complete within {timeout} seconds")
        _raise_if_suspended()
        state = self._load()
        if state.is_completed() and isinstance(state.data, ResultRecord):
            # What `State.result` would return, without its way through a thread of Prefect's: 0.2 ms of CPU.
            return cast("R", state.data.result)
        # _sync is not in the typed signature, but every stock future passes it.
        value: R = state.result(raise_on_failure=raise_on_failure, _sync=True)  # type: ignore[call-overload]
        return value

    def add_done_callback(self, fn: Callable[[PrefectFuture[R]], None]) -> None:
        """Have `fn` called with this future when the task run has ended, at once if it already has.

        Args:
            fn: called in a thread of the engine's.
        """
        if self._final_state is not None:
            fn(self)
        else:
            self._engine.give_way(self._wrapped_future)
            self._wrapped_future.add_done_callback(lambda: fn(self))

    def is_on_cluster(self) -> bool:
        """Tell whether the task has ended and its outcome is on the cluster only."""
        return self._final_state is None and self._wrapped_future.done()

    def fetch(self) -> None:
        """Get the outcome from the cluster, before that is left."""
        self._load()

    def leave_behind(self) -> None:
        """Take the end of the task from Prefect's record from now on, and do without its result."""
        self._left_behind = self._wrapped_future.failure() is None

    def _load(self) -> State[R]:
        with self._lock:
            # Two threads may get here at once; all must see the same state.
            if self._final_state is None:
                self._final_state = self._fetch()
            return self._final_state

    def _fetch(self) -> State[R]:
        failure = self._wrapped_future.failure()
        if self._left_behind:
            recorded = super().state
            if recorded.is_final():
                return recorded
            return Completed(message="The task has ended; its result was left on the cluster")
        if failure is None:
            try:
                outcome = self._wrapped_future.result()
            except Exception as error:  # the worker that held it is gone
                failure = error
            else:
                if isinstance(outcome, State):
                    self._let_go = not self._kept and self._wrapped_future.let_go()
                    return outcome
                return Crashed(message=f"The worker returned {type(outcome).__name__} instead of a state")
        # The task never got as far as Prefect's engine on a worker, or its worker took the state along. Without data in
        # it, State.result() raises CrashedRun with this message.
        return Crashed(message=self._engine.describe_loss(failure))

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as a future that has ended, wherever the packer does not know better."""
        self.wait()
        return arrived_future, (self.task_run_id, self.state)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClusterFuture) and other.task_run_id == self.task_run_id

    def __hash__(self) -> int:
        return hash(self.task_run_id)


def on_cluster(engine: Engine, future: PrefectFuture[Any]) -> EngineFuture | None:
    """Return the engine's own handle of a future, and have its outcome stay on the cluster; None if it is not there.

    Args:
        engine: whose task it may be.
        future: of any runner.
    """
    if isinstance(future, ClusterFuture) and future.engine is engine and future.keep_on_cluster():
        return future.wrapped_future
    return None
