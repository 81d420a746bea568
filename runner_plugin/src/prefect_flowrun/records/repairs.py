"""Tells Prefect of task runs that the cluster has lost, many at a time: a cluster that goes loses thousands at once.

Each takes the server some 10 ms and a client of its own would take as much again, so they share one, and wait for the
server side by side.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import SyncPrefectClient, get_client

from prefect_flowrun.records import task_run

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun
    from prefect.tasks import Task

_logger = logging.getLogger(__name__)

PARALLEL = 8
REQUEST_TIMEOUT_S = 30.0
# A server that is busy with the flow's own events answers late, or with an error; it gets time to come to itself.
PAUSES_S = (1.0, 5.0, 15.0)
_POLL_S = 0.05


class Repairs:
    """The records that one flow run still has to set right."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="flowrun-repairs")
        self._lock = threading.Lock()
        self._client: SyncPrefectClient | None = None
        self._closing = threading.Event()
        self._given = self._done = self._missed = 0

    def add(
        self, context: Context, task: Task[..., Any], task_run_id: UUID, flow_run: FlowRun | None, message: str
    ) -> None:
        """Log in Prefect that a task run was lost, and set it Crashed; returns at once.

        Args:
            context: of the flow: its settings say where Prefect's API is.
            task: the task.
            task_run_id: the run.
            flow_run: that it belongs to.
            message: why it was lost.
        """
        # In the context of the flow too: elsewhere Prefect would send the line to another API, or start a server.
        context.copy().run(task_run.log_loss, task, task_run_id, message)
        state = task_run.crashed(task_run_id, flow_run.id if flow_run else None, message)

        def set_state() -> None:
            task_run.record(self._shared_client(), task, task_run_id, flow_run, state)

        with self._lock:
            self._given += 1
        with suppress(RuntimeError):  # closed: too late
            self._pool.submit(self._until_done, lambda: context.copy().run(set_state))

    def close(self, patience_s: float, *, hurried: bool = False) -> int:
        """Wait for the server as long as it gets on, then end.

        Args:
            patience_s: longest time in which it need not have taken any.
            hurried: do not wait.

        Returns:
            How many it has not taken.
        """
        last, since = -1, time.monotonic()
        while not hurried and (done := self._done + self._missed) < self._given:
            if done != last:
                last, since = done, time.monotonic()
            elif time.monotonic() - since > patience_s:
                break
            time.sleep(_POLL_S)
        self._closing.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        return self._given - self._done

    def _until_done(self, set_state: Callable[[], None]) -> None:
        for pause_s in (*PAUSES_S, None):
            try:
                set_state()
            except Exception as error:  # whatever it is, it must be counted
                _logger.debug("A lost task run could not be reported: %s", error)
                if pause_s is None or self._closing.wait(pause_s):
                    break
            else:
                with self._lock:
                    self._done += 1
                return
        with self._lock:
            self._missed += 1

    def _shared_client(self) -> SyncPrefectClient:
        with self._lock:
            if self._client is None:
                self._client = get_client(sync_client=True, httpx_settings={"timeout": REQUEST_TIMEOUT_S})
            return self._client
