"""Tasks in threads of the flow's process, none of them lost at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from prefect.context import FlowRunContext
from prefect.futures import PrefectConcurrentFuture, PrefectFuture, wait
from prefect.task_runners import ThreadPoolTaskRunner

if TYPE_CHECKING:
    import logging

    from prefect.client.schemas.objects import FlowRun, RunInput
    from prefect.tasks import Task


class PatientThreadPool(ThreadPoolTaskRunner[Any]):
    """Prefect's thread pool, whose end waits for tasks of a flow that ends well.

    The stock one cancels what has not begun by then: a flow that waits for none of its tasks is Completed and they are
    Crashed, or not, by chance.
    """

    def __init__(self, exit_timeout_s: float | None, told: logging.Logger | logging.LoggerAdapter[Any]) -> None:
        """Begin with no tasks.

        Args:
            exit_timeout_s: longest wait at the end, in seconds; None waits without limit.
            told: logger of the flow run.
        """
        super().__init__()
        self._exit_timeout_s = exit_timeout_s
        self._told = told
        self._outstanding: set[PrefectFuture[Any]] = set()
        self._flow_run: FlowRun | None = None

    def submit(
        self,
        task: Task[..., Any],
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[RunInput]] | None = None,
    ) -> PrefectConcurrentFuture[Any]:
        """Start a task; see `ClusterTaskRunner.submit`."""
        if self._flow_run is None and (flow := FlowRunContext.get()) is not None:
            self._flow_run = flow.flow_run
        submit = cast("Callable[..., PrefectConcurrentFuture[Any]]", super().submit)
        future = submit(task, parameters, wait_for, dependencies)
        self._outstanding.add(future)
        future.add_done_callback(self._outstanding.discard)
        return future

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        """Wait for the outstanding tasks, unless the flow ended with an error."""
        left = list(self._outstanding)
        if left and exc_type is None and not failed(self._flow_run):
            self._told.info("Waiting for %d task run(s) that the flow did not wait for", len(left))
            wait(left, timeout=self._exit_timeout_s)
        super().__exit__(exc_type, exc_value, traceback)


def failed(flow_run: FlowRun | None) -> bool:
    """Whether a flow that is leaving its task runner has ended with an error, be it that it is run again.

    Prefect handles the error before it leaves the runner, so `__exit__` sees none and has to look at the state. With
    `retries` that is Running again by then, of a flow that has been left: the next try submits tasks of its own.

    Args:
        flow_run: as Prefect's engine has it; None outside a flow.
    """
    state = flow_run.state if flow_run is not None else None
    if flow_run is None or state is None:
        return False
    left_to_try_again = (state.is_running() or state.is_scheduled()) and not _within(flow_run)
    return state.is_failed() or state.is_crashed() or state.is_cancelled() or left_to_try_again


def _within(flow_run: FlowRun) -> bool:
    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None and context.flow_run.id == flow_run.id


def cancel_threads(runner: ThreadPoolTaskRunner[Any]) -> None:
    """Cancel what has not begun, in a process that is being ended.

    Prefect's runner also waits for tasks that run, which can't be interrupted; and so on_cancellation hooks would wait.

    Args:
        runner: whose threads they are.
    """
    threading.Thread(target=runner.cancel_all, name="flowrun-cancel", daemon=True).start()
