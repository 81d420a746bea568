"""Run the flow through Prefect's engine and say in the contract's terms how it ended."""

from __future__ import annotations

import asyncio
import functools
import inspect
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from typing import Any, cast
from uuid import UUID

from prefect import flow_engine
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import AsyncClientContext
from prefect.exceptions import Abort, ParameterBindError, ParameterTypeError, Pause, SignatureMismatchError
from prefect.flow_engine import run_flow
from prefect.flows import Flow
from prefect.states import Failed

from flowrun_api.contract import Reason, Result, ResultType
from prefect_flowrun.driver import cancelled_not_crashed
from prefect_flowrun.driver.final_state_limit import EndLimit
from prefect_flowrun.records import flow_run as records
from prefect_flowrun.runner import connections
from prefect_flowrun.worker.garbage import pass_over_imports
from prefect_flowrun.worker.log_prints import share_prints

# What Prefect's engine writes before the validation error.
_INVALID_PARAMETERS = "Validation of flow parameters failed"
_REASONS = {
    ResultType.COMPLETED: Reason.FLOW_COMPLETED,
    ResultType.FAILED: Reason.FLOW_FAILED,
    # The flow itself crashed, e.g. by sys.exit(): the user's doing, which no new cluster would mend.
    ResultType.CRASHED: Reason.FLOW_FAILED,
    ResultType.CANCELLED: Reason.FLOW_CANCELLED,
}


def execute(
    client: SyncPrefectClient,
    flow: Flow[..., Any],
    flow_run: FlowRun,
    was_cancelled: Callable[[], bool],
    limit: EndLimit,
) -> State[Any]:
    """Run a flow to its end.

    Args:
        client: of the Prefect API.
        flow: the flow, sync or async, generator or not.
        flow_run: its record, not yet final; holds the parameters.
        was_cancelled: tells, while the run is being ended from outside, whether a user has asked for that.
        limit: to how long its end waits for Prefect.

    Returns:
        The state the flow run ended in. Not final if the server did not let it run, e.g. because it is being cancelled.

    Raises:
        BaseException: what ends the process, e.g. Prefect's TerminationSignal on SIGTERM.
    """
    pass_over_imports()
    _leave_heartbeats_behind()
    share_prints()
    cancelled_not_crashed.tell_cancellations_from_crashes(was_cancelled)
    # The one that Prefect's engine uses too: see `flow_run.connected`.
    client._client.event_hooks = limit.hooks
    try:
        if flow.isasync:
            outcome = asyncio.run(_run_async(flow, flow_run, limit))
        elif flow.isgenerator:
            for _ in cast("Generator[Any, None, None]", run_flow(flow, flow_run=flow_run)):
                pass
            outcome = None
        else:
            outcome = cast("State[Any]", run_flow(flow, flow_run=flow_run, return_type="state"))
        return outcome or _recorded_state(client, flow_run.id)
    except (ParameterTypeError, ParameterBindError, SignatureMismatchError) as error:
        # Names that the flow does not have: found before Prefect's engine has taken the run in hand.
        hint = yaml_hint(flow_run.parameters)
        return records.fail(client, flow_run.id, f"{_INVALID_PARAMETERS} with error: {error}{hint}")
    # Not BaseException: Prefect's TerminationSignal means that this process is being ended.
    except (Abort, Pause, Exception, SystemExit):
        # The engine has reported a state (also after sys.exit() in a flow), or the server refuses to let the run go on.
        recorded = _recorded_state(client, flow_run.id)
        if not recorded.is_final():
            raise
        # Nothing that the state tells, e.g. an error while the task runner closed: at least in the log.
        traceback.print_exc()
        return recorded


def yaml_hint(parameters: Mapping[str, Any]) -> str:
    """Return what may be behind a parameter named `true` or `false`, empty without one.

    Args:
        parameters: of the flow run.
    """
    read_as = [name for name in ("false", "true") if name in parameters]
    if not read_as:
        return ""
    return (
        f". A key {' or '.join(read_as)} may be n, no or off (false), y, yes or on (true) in the manifest, which YAML"
        ' reads as truth values: quote it, "n": 3'
    )


def classify(state: State[Any], flow_run_id: UUID) -> Result:
    """Turn a terminal state into the result.

    Args:
        state: a final state.
        flow_run_id: the run it belongs to.
    """
    kind = ResultType(state.type.value)
    message = state.message or ""
    reason = _REASONS[kind]
    if kind is ResultType.FAILED and message.startswith(_INVALID_PARAMETERS):
        reason = Reason.INVALID_PARAMETERS
    elif kind is not ResultType.COMPLETED and (failure := connections.startup_failure()):
        reason, message = Reason.CLUSTER_STARTUP_FAILED, failure
    return Result(flow_run_id=str(flow_run_id), type=kind, name=state.name or kind, message=message, reason=reason)


def untold(limit: EndLimit, flow_run_id: UUID, *, may_run_again: bool) -> Result | None:
    """Return the result of a flow that has ended while Prefect was away; None if it has not, or Prefect knows.

    Args:
        limit: of its end.
        flow_run_id: its run.
        may_run_again: whether a failure is not the end before Prefect has said so, since the flow has retries.
    """
    ended = limit.offered
    if ended is None or ended.type not in ("COMPLETED", "FAILED") or (ended.type == "FAILED" and may_run_again):
        return None
    result = classify(State(type=StateType(ended.type), name=ended.name, message=ended.message), flow_run_id)
    if result.reason is Reason.CLUSTER_STARTUP_FAILED:
        return None  # not the flow's: another attempt may succeed
    return result.model_copy(update={"prefect_informed": False})


def _leave_heartbeats_behind() -> None:
    """Have sync flows, like Prefect's async ones, not wait for the heartbeat thread when they end.

    It sleeps a second at a time, and so held up the end of every flow by half a second and its cluster with it.
    """
    send_heartbeats = getattr(flow_engine, "_send_heartbeats", None)  # private: other versions may not have it
    if inspect.isfunction(send_heartbeats) and "join_on_exit" in inspect.signature(send_heartbeats).parameters:
        flow_engine._send_heartbeats = functools.partial(send_heartbeats, join_on_exit=False)


async def _run_async(flow: Flow[..., Any], flow_run: FlowRun, limit: EndLimit) -> State[Any] | None:
    """Run an async flow; return its state, or None if it is a generator, of which Prefect returns none."""
    async with AsyncClientContext() as context:
        context.client._client.event_hooks = limit.async_hooks
        if not flow.isgenerator:
            return await cast("Awaitable[State[Any]]", run_flow(flow, flow_run=flow_run, return_type="state"))
        async for _ in cast("AsyncGenerator[Any, None]", run_flow(flow, flow_run=flow_run)):
            pass
        return None


def _recorded_state(client: SyncPrefectClient, flow_run_id: UUID) -> State[Any]:
    return client.read_flow_run(flow_run_id).state or Failed(message="The flow run has no state")
