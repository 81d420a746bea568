"""Tell Prefect of task runs that the cluster lost or that were given up: nobody else would."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger
from prefect.states import Crashed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect.client.schemas.objects import FlowRun, State
    from prefect.tasks import Task

_PARALLEL = 8
_REQUEST_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Loss:
    """A task whose worker was lost."""

    task: Task[..., Any]
    task_run_id: UUID
    message: str
    final: bool

    def report(self) -> State[Any]:
        """Say in the task run's log what has happened, and if the task is lost for good set it Crashed.

        Called on the worker that the task came to next, in the flow run's context.

        Returns:
            The state Crashed; of no meaning if the task runs again.
        """
        flow = FlowRunContext.get()
        flow_run = flow.flow_run if flow is not None else None
        extra = {"task_run_id": str(self.task_run_id), "flow_run_id": str(flow_run.id) if flow_run else None}
        level = logging.ERROR if self.final else logging.WARNING
        get_logger("task_runs").log(level, self.message, extra={**extra, "task_name": self.task.name})
        state: State[Any] = Crashed(message=self.message)
        state.state_details.task_run_id = self.task_run_id
        state.state_details.flow_run_id = flow_run.id if flow_run else None
        if self.final:
            record(get_client(sync_client=True), self.task, self.task_run_id, flow_run, state)
        return state


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
    except ObjectNotFound:
        key = str(task_run_id)
        client.create_task_run(
            task, flow_run.id if flow_run else None, dynamic_key=key, id=task_run_id, state=state,
            name=f"{task.name}-{key[:3]}",
        )  # fmt: skip


@dataclass(frozen=True)
class Repair:
    """A task run whose recorded state is wrong, and the right one."""

    task: Task[..., Any]
    task_run_id: UUID
    flow_run: FlowRun | None
    state: State[Any]
    create: bool
    """Whether a run that Prefect has never heard of is to be recorded."""


def repair(repairs: Sequence[Repair], timeout: float) -> int:
    """Put recorded states right, several at a time.

    Args:
        repairs: what to put right.
        timeout: seconds in all.

    Returns:
        How many could not be put right in time.
    """
    if not repairs:
        return 0
    client = get_client(sync_client=True, httpx_settings={"timeout": min(timeout, _REQUEST_TIMEOUT_S)})
    pool = ThreadPoolExecutor(max_workers=_PARALLEL, thread_name_prefix="flowrun-repair")
    try:
        done, pending = wait([pool.submit(_repair, client, each) for each in repairs], timeout=timeout)
        return len(pending) + sum(1 for future in done if future.exception() is not None)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _repair(client: SyncPrefectClient, each: Repair) -> None:
    try:
        if each.create:
            record(client, each.task, each.task_run_id, each.flow_run, each.state)
        else:
            client.set_task_run_state(each.task_run_id, each.state, force=True)
    except ObjectNotFound:
        pass  # it never started
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.NOT_FOUND:
            raise
