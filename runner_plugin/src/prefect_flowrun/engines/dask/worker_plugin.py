"""What a Dask worker tells the scheduler of our tasks: their starts, and how they have ended.

Both go into the batches by which Dask tells of ends itself, at the same moments: a message of its own would cost more
than a short task's work for it, and hold up Dask's next batch.

A plugin of the workers, brought by the scheduler's. Imports no prefect: the worker loads it before that is there.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import WorkerPlugin

from prefect_flowrun.engines.dask import names

if TYPE_CHECKING:
    from distributed import Worker

_QUEUED = ("ready", "constrained")
# Dask looks each 10 ms where the tasks' threads are. Ours are deep in Prefect's engine, and a look takes 0.2 ms.
_PROFILE_MS = 100.0
# Between looks whether a batch has left, once it is due; Dask sends one each 2 ms at most.
_LOOK_S = 0.0002


class StartsAndEnds(WorkerPlugin):  # type: ignore[misc] # distributed is untyped
    """Tells the scheduler's plugin, which is `scheduler_plugin.FlowRunMemory`."""

    idempotent = True

    def __init__(self) -> None:
        self._starts: dict[str, threading.Event] = {}
        self._ends: dict[str, dict[str, Any]] = {}

    def setup(self, worker: Worker) -> None:
        """Begin; called by the worker.

        Args:
            worker: the worker.
        """
        self._worker = worker
        if (profiler := worker.periodic_callbacks.get("profile")) is not None:
            profiler.callback_time = max(profiler.callback_time, _PROFILE_MS)

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Tell what there is to tell of a task; called by the worker, before it tells of the same itself.

        Args:
            key: of the task.
            start: state before.
            finish: state after.
        """
        if finish == "executing" and start in _QUEUED:
            self._tell_start(key)
        elif (message := self._ends.pop(key, None)) is not None:
            self._worker.batched_send(message)

    def start_told(self, key: str) -> threading.Event | None:
        """Return what is set when the start of a task is on its way to the scheduler, whatever becomes of this process.

        Args:
            key: of a task that begins in this thread. Asked for once.

        Returns:
            None if a worker was lost that had the task, or its result: the scheduler is to be asked.
        """
        return self._starts.pop(key, None)

    def tell_end(self, key: str, message: dict[str, Any]) -> None:
        """Tell how a task has ended, when Dask tells that it has.

        Args:
            key: of a task that ends in this thread.
            message: to the scheduler.
        """
        self._ends[key] = message

    def _tell_start(self, key: str) -> None:
        task = self._worker.state.tasks[key]
        if not names.is_ours(task) or names.LOST in (task.annotations or {}):
            return
        self._starts[key] = told = threading.Event()
        stream = self._worker.batched_stream
        self._worker.batched_send({"op": names.STARTED, "key": key})
        self._worker.loop.add_callback(self._note_sent, told, stream, stream.batch_count)

    def _note_sent(self, told: threading.Event, stream: Any, batches: int) -> None:
        loop = self._worker.loop.asyncio_loop
        if stream.closed():  # this worker ends
            told.set()
        elif stream.batch_count > batches:
            # Dask counts a batch in one turn of the loop, and writes it in a turn that it has asked for by then.
            loop.call_soon(told.set)
        else:
            due_s = (stream.next_deadline or 0.0) - time.time()
            loop.call_later(max(due_s, _LOOK_S), self._note_sent, told, stream, batches)
