"""Tell Prefect of task runs that the cluster lost or that were given up: nobody else would."""

from __future__ import annotations

import logging
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.context import FlowRunContext
from prefect.logging import get_logger
from prefect.states import Crashed

from prefect_flowrun.records import close_runs, flow_run

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State
    from prefect.tasks import Task

_REQUEST_TIMEOUT_S = 5.0


def crashed(task_run_id: UUID, flow_run_id: UUID | None, message: str) -> State[Any]:
    """Return the state of a task run that the cluster has lost.

    Args:
        task_run_id: the run.
        flow_run_id: that it belongs to.
        message: why it was lost.
    """
    state: State[Any] = Crashed(message=message)
    state.state_details.task_run_id = task_run_id
    state.state_details.flow_run_id = flow_run_id
    return state


def log_loss(task: Task[..., Any], task_run_id: UUID, message: str, level: int = logging.ERROR) -> None:
    """Say in the log of a task run what has happened to it; called in the context of its flow run.

    Args:
        task: the task.
        task_run_id: the run.
        message: what has happened.
        level: of the line.
    """
    flow = FlowRunContext.get()
    flow_run = flow.flow_run if flow is not None else None
    # What Prefect's formatter and its handler look for in a line of a task run.
    fields = {
        "task_run_id": str(task_run_id),
        "task_run_name": _name(task, task_run_id),
        "task_name": task.name,
        "flow_run_id": str(flow_run.id) if flow_run else None,
        "flow_run_name": flow_run.name if flow_run else "<unknown>",
        "flow_name": "<unknown>",
    }
    get_logger("task_runs").log(level, message, extra=fields)


def record(
    client: SyncPrefectClient, task: Task[..., Any], task_run_id: UUID, flow_run: FlowRun | None, state: State[Any]
) -> None:
    """Set a task run's state whatever it was; create the task run if Prefect has never heard of it.

    Args:
        client: of the Prefect API.
        task: the task.
        task_run_id: the run, whose own events may have been lost with its worker.
        flow_run: that it belongs to.
        state: the state to set.

    Raises:
        httpx.HTTPError: the API does not answer, or refuses.
    """
    try:
        client.set_task_run_state(task_run_id, state, force=True)
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.NOT_FOUND:
            raise
        _create(client, task, task_run_id, flow_run, state)


def _create(
    client: SyncPrefectClient, task: Task[..., Any], task_run_id: UUID, flow_run: FlowRun | None, state: State[Any]
) -> None:
    try:
        client.create_task_run(
            task,
            flow_run.id if flow_run else None,
            dynamic_key=str(task_run_id),
            id=task_run_id,
            name=_name(task, task_run_id),
            state=state,
        )
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.CONFLICT:
            raise
        # An event of its own has arrived meanwhile.
        client.set_task_run_state(task_run_id, state, force=True)


def close_given_up(
    flow_run_id: UUID, tasks: Mapping[UUID, Task[..., Any]], running: Container[str], message: str, timeout: float
) -> bool:
    """Set Cancelled those of the task runs that have begun and not ended.

    Args:
        flow_run_id: their flow run.
        tasks: what was given up, by task run.
        running: ids of the task runs that workers have begun, which Prefect may not have heard of yet.
        message: shown in Prefect.
        timeout: seconds per request.

    Returns:
        Whether Prefect has heard it.
    """
    given_up = {str(run): _as_prefect_has_it(task, run, flow_run_id) for run, task in tasks.items()}
    try:
        with flow_run.hurried(timeout) as client:
            close_runs.end_given_up(flow_run.poster(client), str(flow_run_id), given_up, running, message)
    except (httpx.HTTPError, RuntimeError):
        return False
    return True


def _as_prefect_has_it(task: Task[..., Any], task_run_id: UUID, flow_run_id: UUID) -> dict[str, Any]:
    return {
        "id": str(task_run_id),
        "flow_run_id": str(flow_run_id),
        "name": _name(task, task_run_id),
        "task_key": task.task_key,
        "dynamic_key": str(task_run_id),
        "tags": sorted(task.tags),
        "run_count": 1,
    }


def _name(task: Task[..., Any], task_run_id: UUID) -> str:
    return f"{task.name}-{str(task_run_id)[:3]}"
