"""Tasks one after the other, in the flow's process: `.submit` returns when the task has ended.

What Prefect 2's SequentialTaskRunner did. For debugging: a breakpoint in a task stops the flow, and a task that submits
another and waits for it cannot run into a deadlock.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Iterable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Self, cast
from uuid import UUID, uuid4

from prefect.futures import PrefectConcurrentFuture, PrefectFuture
from prefect.task_engine import run_task_async, run_task_sync
from prefect.task_runners import TaskRunner

if TYPE_CHECKING:
    from prefect.client.schemas.objects import RunInput, State
    from prefect.tasks import Task


class SequentialTaskRunner(TaskRunner[PrefectConcurrentFuture[Any]]):
    """Runs each task when it is submitted."""

    def duplicate(self) -> Self:
        """Return another such runner."""
        return type(self)()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))

    def submit(
        self,
        task: Task[..., Any],
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[RunInput]] | None = None,
    ) -> PrefectConcurrentFuture[Any]:
        """Run a task to its end.

        Args:
            task: the task.
            parameters: of the call.
            wait_for: further futures to wait for.
            dependencies: inputs that the caller has found, by parameter.

        Raises:
            RuntimeError: the runner is not started, i.e. there is no flow around the call.
        """
        if not self._started:
            raise RuntimeError("The task runner must be started before submitting work.")
        task_run_id = uuid4()
        # A copy, so that nothing that the task sets in its context is left in the flow's.
        state = copy_context().run(_run, task, task_run_id, parameters, wait_for, dependencies)
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()
        done.set_result(state)
        future: PrefectConcurrentFuture[Any] = PrefectConcurrentFuture(task_run_id, done)
        future.wait()
        return future


def _run(task: Task[..., Any], task_run_id: UUID, parameters: Any, wait_for: Any, dependencies: Any) -> State[Any]:
    call = {
        "task": task,
        "task_run_id": task_run_id,
        "parameters": parameters,
        "wait_for": wait_for,
        "dependencies": dependencies,
        "return_type": "state",
    }
    if not task.isasync:
        return cast("State[Any]", run_task_sync(**call))
    # In a thread of its own: an async flow calls this with its event loop running, and a loop can't run in a loop.
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="flowrun-sequential") as pool:
        return cast("State[Any]", pool.submit(copy_context().run, asyncio.run, run_task_async(**call)).result())
