"""The run's record in Prefect: created once per attempt, read and closed over the API."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import FlowRunCreate
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import SyncClientContext
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Crashed, Failed, Pending, to_state_create

if TYPE_CHECKING:
    from prefect_flowrun.contract import DriverEnvironment

RETRY_INTERVAL_S = 0.25


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


def hurried_client(timeout: float) -> SyncPrefectClient:
    """Make a client that gives up early.

    Args:
        timeout: seconds per request.
    """
    return get_client(sync_client=True, httpx_settings={"timeout": timeout})


def create(client: SyncPrefectClient, env: DriverEnvironment, flow_name: str) -> FlowRun:
    """Create this attempt's flow run, or find it if a driver before this one has.

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
