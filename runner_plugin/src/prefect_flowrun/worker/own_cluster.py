"""The cluster that a task runs on, for what the task itself submits.

A task that submits nothing pays nothing for it: the engine's entry function only says how the process would join, and
the runner that travels with the flow asks for it at its first submit.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from prefect.futures import PrefectFuture
from prefect.utilities.collections import visit_collection

from prefect_flowrun.wire.resolved_futures import arrived_future

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

Join = Callable[[], Any]
"""Returns the engine (`engines.base.Engine`) of this worker's process; raises what the engine does."""

joining: ContextVar[Join | None] = ContextVar("flowrun_own_cluster", default=None)
"""How the current task joins its own cluster; None outside a worker."""


def settle(runner: Any, state: State[Any]) -> State[Any]:
    """Do after a task what its end means for the tasks that it has submitted.

    Those of a task that failed are cancelled, as those of a flow are. Futures that the task returns have to have ended:
    they belong to this process, and are of no use elsewhere.

    Args:
        runner: of the task's context; leaving it waits for the tasks that nobody waited for.
        state: of the task.

    Returns:
        A state that may leave the process.
    """
    if not getattr(runner, "in_use", False):
        return state
    if state.is_failed() or state.is_crashed() or state.is_cancelled():
        runner.cancel_all()
    elif hasattr(record := state.data, "result"):
        record.result = visit_collection(record.result, _ended, return_data=True)
    return state


def _ended(value: Any) -> Any:
    if not isinstance(value, PrefectFuture):
        return value
    value.wait()
    return arrived_future(value.task_run_id, value.state)
