"""The run's record in Prefect: created once per attempt, read and closed over the API."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import FlowRunCreate
from prefect.client.schemas.objects import FlowRun, State
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Crashed, Failed, Pending, to_state_create

if TYPE_CHECKING:
    from prefect_flowrun.contract import DriverEnvironment

RETRY_INTERVAL_S = 0.25


class PrefectUnreachableError(Exception):
    """The Prefect API does not answer, or refuses us."""


def require_api_url() -> None:
    """Refuse to go on without an API: Prefect would start a private server, and every worker one of its own.

    Raises:
        PrefectUnreachableError: no API URL is set.
    """
    if not PREFECT_API_URL.value():
        raise PrefectUnreachableError("PREFECT_API_URL is not set")


def hurried_client(timeout: float) -> SyncPrefectClient:
    """Make a client that gives up early.

    Args:
        timeout: seconds per request.
    """
    return get_client(sync_client=True, httpx_settings={"timeout": timeout})


def create(client: SyncPrefectClient, env: DriverEnvironment, flow_name: str, timeout: float) -> FlowRun:
    """Create this attempt's flow run, or find it if a driver before this one has.

    Args:
        client: of the Prefect API.
        env: the contract: name, tags, labels, parameters, idempotency key.
        flow_name: name of the flow in Prefect.
        timeout: seconds during which an API that does not answer is tried again.

    Raises:
        PrefectUnreachableError: the API did not answer in time, or refused.
    """
    # The first request of the run, so it doubles as the check whether there is an API at all.
    flow_id = _first_request(client, flow_name, timeout)
    wanted = FlowRunCreate(
        flow_id=flow_id,
        name=env.flow_run_name,
        parameters=env.parameters,
        tags=env.tags,
        labels=env.labels,
        idempotency_key=env.idempotency_key,
        state=to_state_create(Pending()),
    )
    try:
        response = client.request("POST", "/flow_runs/", json=wanted.model_dump(mode="json", exclude_unset=True))
    except httpx.HTTPError as error:
        raise PrefectUnreachableError(_explain(client, error)) from error
    return FlowRun.model_validate(response.json())


def crash(client: SyncPrefectClient, flow_run_id: UUID, message: str) -> State[Any]:
    """Set the run Crashed whatever its state, unless a user has cancelled it: then Cancelled.

    Args:
        client: of the Prefect API.
        flow_run_id: the run.
        message: shown in the UI.

    Returns:
        The state that was set.
    """
    # The history, not the current state: on SIGTERM Prefect's engine overwrites Cancelling with Crashed.
    history = client.read_flow_run_states(flow_run_id)
    cancelled = any(state.is_cancelling() or state.is_cancelled() for state in history)
    state: State[Any] = Cancelled(message="The run was cancelled") if cancelled else Crashed(message=message)
    client.set_flow_run_state(flow_run_id, state, force=True)
    return state


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


def _first_request(client: SyncPrefectClient, flow_name: str, timeout: float) -> UUID:
    deadline = time.monotonic() + timeout
    while True:
        try:
            return client.create_flow_from_name(flow_name)
        except httpx.HTTPStatusError as error:
            # A server that starts answers 5xx for a while; a 4xx stays one.
            if error.response.status_code < 500 or time.monotonic() > deadline:
                raise PrefectUnreachableError(_explain(client, error)) from error
        except httpx.HTTPError as error:
            if time.monotonic() > deadline:
                raise PrefectUnreachableError(_explain(client, error)) from error
        time.sleep(RETRY_INTERVAL_S)


def _explain(client: SyncPrefectClient, error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        answer = f"answered {error.response.status_code}: {error.response.text[:200]}"
    else:
        answer = f"does not answer: {type(error).__name__}: {error}"
    return f"The Prefect API at {client.api_url} {answer}"
