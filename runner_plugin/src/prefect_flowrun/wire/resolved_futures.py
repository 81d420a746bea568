"""Futures that have ended, as a task on a worker finds them among its parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from prefect.futures import PrefectFuture, PrefectTaskRunFuture

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

R = TypeVar("R")

# The states that the engine has handed over, while the call that refers to them is unpickled.
upstream_states: ContextVar[Sequence[State[Any]]] = ContextVar("flowrun_upstream_states")


class ArrivedFuture(PrefectTaskRunFuture[R]):
    """A task run that had ended before this task began."""

    def __init__(self, task_run_id: UUID, state: State[R]) -> None:
        super().__init__(task_run_id)
        self._final_state = state

    def wait(self, timeout: float | None = None) -> None:
        """Return at once.

        Args:
            timeout: no matter.
        """

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """Return what the task returned.

        Args:
            timeout: no matter.
            raise_on_failure: raise the task's exception instead of returning it.
        """
        assert self._final_state is not None  # noqa: S101 - set by the constructor
        value: R = self._final_state.result(  # type: ignore[call-overload]
            raise_on_failure=raise_on_failure, _sync=True
        )
        return value

    def add_done_callback(self, fn: Callable[[PrefectFuture[R]], None]) -> None:
        """Call `fn` at once.

        Args:
            fn: called with this future.
        """
        fn(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return arrived_future, (self._task_run_id, self._final_state)


def arrived_future(task_run_id: UUID, state: State[Any]) -> ArrivedFuture[Any]:
    """Unpickle a future that travelled with its state.

    Args:
        task_run_id: of the task run.
        state: its final state.
    """
    return ArrivedFuture(task_run_id, state)


def upstream_future(task_run_id: UUID, index: int) -> ArrivedFuture[Any]:
    """Unpickle a future whose state the engine has handed over.

    Args:
        task_run_id: of the task run.
        index: its number among the upstream futures.
    """
    return ArrivedFuture(task_run_id, upstream_states.get()[index])
