"""Have Prefect's engines tell a cancellation from a crash.

They take every SIGTERM for a crash, unless the process of `prefect flow-run execute` has told them otherwise, which a
driver does without. These are insides of Prefect; where a version has others, `flow_run.finish` puts the flow run's
state right, and only the hooks are missing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from prefect import flow_engine, task_engine
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.states import Cancelled

_MESSAGE = "The run was cancelled"


def tell_cancellations_from_crashes(was_cancelled: Callable[[], bool]) -> None:
    """End Cancelled what a SIGTERM ends because a user wants it: the flow run, with its hooks, and tasks in the driver.

    Args:
        was_cancelled: tells, when SIGTERM has come, whether it is a cancellation.
    """
    engines: tuple[Any, ...] = (flow_engine, task_engine)
    asked = getattr(flow_engine, "_termination_intent", None)
    if inspect.isfunction(asked):
        engines[0]._termination_intent = lambda: asked() or ("cancel" if was_cancelled() else None)
    for engine in engines:
        for name in ("exception_to_crashed_state", "exception_to_crashed_state_sync"):
            if inspect.isfunction(crashed := getattr(engine, name, None)):
                setattr(engine, name, _cancelled_or(crashed, was_cancelled))


def _cancelled_or(crashed: Callable[..., Any], was_cancelled: Callable[[], bool]) -> Callable[..., Any]:
    def is_cancellation(error: BaseException) -> bool:
        return isinstance(error, TerminationSignal) and was_cancelled()

    def state_of(error: BaseException, *args: Any, **kwargs: Any) -> State[Any]:
        state: State[Any] = Cancelled(message=_MESSAGE) if is_cancellation(error) else crashed(error, *args, **kwargs)
        return state

    async def async_state_of(error: BaseException, *args: Any, **kwargs: Any) -> State[Any]:
        state: State[Any] = (
            Cancelled(message=_MESSAGE) if is_cancellation(error) else await crashed(error, *args, **kwargs)
        )
        return state

    return async_state_of if inspect.iscoroutinefunction(crashed) else state_of
