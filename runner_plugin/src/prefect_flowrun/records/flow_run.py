"""The run's record in Prefect: created once for all attempts, taken over, read and closed over the API."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import FlowRunCreate
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import SyncClientContext
from prefect.logging.loggers import flow_run_logger
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled, Crashed, Failed, Pending, to_state_create

from prefect_flowrun.records import close_runs
from prefect_flowrun.records.ownership import ATTEMPT_LABEL, owner_of

if TYPE_CHECKING:
    from prefect.flows import Flow

    from flowrun_api.contract import DriverEnvironment

RETRY_INTERVAL_S = 0.25
REQUEST_TIMEOUT_S = 30.0


class PrefectUnreachableError(Exception):
    """The Prefect API does not answer, or refuses us."""


@contextmanager
def connected(timeout: float) -> Iterator[SyncPrefectClient]:
    """Connect to the Prefect API; what runs inside, Prefect's engine included, shares the one client.

    Args:
        timeout: seconds during which an API that does not answer is tried again.

    Raises:
        PrefectUnreachableError: no API URL is set, or the API did not answer in time, or it refuses us.
    """
    if not (url := PREFECT_API_URL.value()):
        # Prefect would start a private server, and every worker one of its own.
        raise PrefectUnreachableError("PREFECT_API_URL is not set")
    with ExitStack() as stack:
        deadline = time.monotonic() + timeout
        while True:
            try:
                # Asks the server for its version.
                client = stack.enter_context(SyncClientContext()).client
                break
            except (httpx.HTTPError, RuntimeError) as error:
                if _is_final(error) or time.monotonic() > deadline:
                    raise PrefectUnreachableError(_explain(url, error)) from error
            time.sleep(RETRY_INTERVAL_S)
        yield client


@contextmanager
def hurried(timeout: float) -> Iterator[SyncPrefectClient]:
    """Make a client that gives up early; Prefect's usual one tries each request again for a minute or more.

    Args:
        timeout: seconds per request.
    """
    # The setting is read at each request, hence no plain function that returns the client.
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        yield get_client(sync_client=True, httpx_settings={"timeout": timeout})


def create(client: SyncPrefectClient, env: DriverEnvironment, flow_name: str) -> FlowRun:
    """Create the flow run, or find it if a driver before this one has created it.

    Args:
        client: of the Prefect API.
        env: the contract: name, tags, labels, parameters, idempotency key.
        flow_name: name of the flow in Prefect.

    Raises:
        PrefectUnreachableError: the API does not answer, or refuses.
    """
    try:
        wanted = FlowRunCreate(
            flow_id=client.create_flow_from_name(flow_name),
            name=env.flow_run_name,
            parameters=env.parameters,
            tags=env.tags,
            labels=env.labels,
            idempotency_key=env.idempotency_key,
            state=to_state_create(Pending()),
        )
        response = client.request("POST", "/flow_runs/", json=wanted.model_dump(mode="json", exclude_unset=True))
    except httpx.HTTPError as error:
        raise PrefectUnreachableError(_explain(str(client.api_url), error)) from error
    return FlowRun.model_validate(response.json())


def take_over(client: SyncPrefectClient, env: DriverEnvironment, found: FlowRun, flow: Flow[..., Any]) -> FlowRun:
    """Bring a flow run that an attempt before this one has left behind to where Prefect's engine runs it again.

    Args:
        client: of the Prefect API.
        env: the contract of this attempt.
        found: the flow run.
        flow: the flow.

    Returns:
        The flow run, Pending and in the hands of this attempt.

    Raises:
        PrefectUnreachableError: the API does not answer, or refuses.
    """
    before, left = owner_of(dict(found.labels)), found.state.name if found.state else "without a state"
    try:
        # Now and not later: from here on a task run that is Running may be one of this attempt.
        close_runs.end_what_is_left(poster(client), str(found.id), "CRASHED", f"Attempt {before} ended before this did")
        # The label comes last. A driver that dies between the two has not begun the attempt.
        client.set_flow_run_state(found.id, Pending(message=f"Attempt {env.attempt}"), force=True)
        client.update_flow_run_labels(found.id, {ATTEMPT_LABEL: str(env.attempt)})
        taken = client.read_flow_run(found.id)
    except httpx.HTTPError as error:
        raise PrefectUnreachableError(_explain(str(client.api_url), error)) from error
    # Prefect compares a flow's `retries` with the number of all its runs: each attempt has the whole of them.
    taken.empirical_policy.retries = (flow.retries or 0) + taken.run_count
    flow_run_logger(taken, flow).info(
        "Attempt %d takes over this flow run, which attempt %d left %s. Results that its tasks have persisted are used",
        env.attempt,
        before,
        left,
    )
    return taken


@contextmanager
def cancellation_question(flow_run_id: UUID, timeout: float) -> Iterator[Callable[[], bool]]:
    """Give a function that asks whether the run is being cancelled in Prefect, or has been.

    Args:
        flow_run_id: the run.
        timeout: seconds for the answer.
    """
    # A number for an answer, not the run with its parameters: this is asked often.
    body = {"flow_runs": {"id": {"any_": [str(flow_run_id)]}, "state": {"type": {"any_": ["CANCELLING", "CANCELLED"]}}}}
    with hurried(timeout) as client:
        post = poster(client)
        yield lambda: bool(post("/flow_runs/count", body))


def finish(
    client: SyncPrefectClient, flow_run_id: UUID, message: str, *, cancelled: bool, patience: float
) -> State[Any]:
    """Set the end of a run that is ended from outside, and that of its unfinished task runs.

    Crashed, or Cancelled if a user has asked for that; a run that has completed meanwhile, or is Cancelled, keeps its
    state.

    Args:
        client: of the Prefect API.
        flow_run_id: the run.
        message: shown in the UI.
        cancelled: whether it is known that a user has asked.
        patience: seconds for the task runs in all.

    Returns:
        The run's final state.
    """
    history = _states_of_this_attempt(client.read_flow_run_states(flow_run_id))
    state: State[Any]
    if history and (history[-1].is_completed() or history[-1].is_cancelled()):
        state = history[-1]
    else:
        # Not the current state alone: on SIGTERM older versions of Prefect's engine overwrite Cancelling with Crashed.
        cancelled = cancelled or any(state.is_cancelling() or state.is_cancelled() for state in history)
        state = Cancelled(message="The run was cancelled") if cancelled else Crashed(message=message)
        client.set_flow_run_state(flow_run_id, state, force=True)
    if not state.is_completed():
        post = poster(client, deadline=time.monotonic() + patience)
        with suppress(httpx.HTTPError):  # the operator has all the time in the world
            close_runs.end_what_is_left(post, str(flow_run_id), state.type.value, state.message or "")
    return state


def insist(flow_run_id: UUID, state: State[Any]) -> State[Any]:
    """Offer a flow's final state until Prefect takes it, or answers with another; for as long as the caller lives.

    Args:
        flow_run_id: the run.
        state: its end.

    Returns:
        The state that the run has now.
    """
    with hurried(REQUEST_TIMEOUT_S) as client:
        while True:
            with suppress(httpx.HTTPError, RuntimeError):
                client.set_flow_run_state(flow_run_id, state)
                return client.read_flow_run(flow_run_id).state or state
            time.sleep(RETRY_INTERVAL_S)


def fail(client: SyncPrefectClient, flow_run_id: UUID, message: str) -> State[Any]:
    """Set the run Failed without running it.

    Args:
        client: of the Prefect API.
        flow_run_id: the run.
        message: shown in the UI.

    Returns:
        The state that was set.
    """
    state: State[Any] = Failed(message=message)
    client.set_flow_run_state(flow_run_id, state, force=True)
    return state


def _states_of_this_attempt(history: list[State[Any]]) -> list[State[Any]]:
    ordered = sorted(history, key=lambda state: state.timestamp)
    begin = max((index for index, state in enumerate(ordered) if state.is_pending()), default=0)
    return ordered[begin:]


def poster(client: SyncPrefectClient, deadline: float = math.inf) -> close_runs.Post:
    """Return how `close_runs` speaks to the API through a client.

    Args:
        client: of the Prefect API.
        deadline: of `time.monotonic`; no request after that.
    """

    def post(path: str, body: Any) -> Any:
        if time.monotonic() > deadline:
            raise httpx.TimeoutException("No time left")
        # Prefect's client wants one of the paths of its own methods.
        response = client.request("POST", cast("Any", path), json=body).raise_for_status()
        return response.json() if response.content else None

    return post


def _is_final(error: Exception) -> bool:
    """Tell whether asking again is no use."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code < 500
    # Prefect wraps what kept it from reaching the server; its own RuntimeError means versions that don't fit.
    return not isinstance(error, httpx.HTTPError) and error.__cause__ is None


def _explain(url: str, error: Exception) -> str:
    if isinstance(error.__cause__, httpx.HTTPError):
        error = error.__cause__
    if isinstance(error, httpx.HTTPStatusError):
        return f"The Prefect API at {url} answers {error.response.status_code}: {error.response.text[:200]}"
    return f"The Prefect API at {url} can't be used: {type(error).__name__}: {error}"
