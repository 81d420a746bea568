"""What a Dask worker tells the scheduler of our tasks: their starts, and how they have ended.

Both go into the batches by which Dask tells of ends itself, at the same moments: a message of its own would cost more
than a short task's work for it, and hold up Dask's next batch.

A plugin of the workers, brought by the scheduler's. Imports no prefect: the worker loads it before that is there.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import WorkerPlugin

from prefect_flowrun.engines.dask import names

if TYPE_CHECKING:
    from distributed import Worker
    from distributed.worker_state_machine import TaskState

_QUEUED = ("ready", "constrained")
# Between looks whether a batch has left; Dask sends one each 2 ms at most.
_LOOK_S = 0.0005


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

    def __reduce__(self) -> tuple[Any, ...]:
        return StartsAndEnds, ()

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

    def start_told(self, key: str) -> threading.Event:
        """Return what is set when the start of a task is on its way to the scheduler, whatever becomes of this process.

        Args:
            key: of a task that begins in this thread, and that no worker was lost with. Asked for once.
        """
        return self._starts.pop(key)

    def tell_end(self, key: str, message: dict[str, Any]) -> None:
        """Tell how a task has ended, when Dask tells that it has.

        Args:
            key: of a task that ends in this thread.
            message: to the scheduler.
        """
        self._ends[key] = message

    def _tell_start(self, key: str) -> None:
        task = self._worker.state.tasks[key]
        if not _is_ours(task) or was_lost(task):
            return
        self._starts[key] = told = threading.Event()
        stream = self._worker.batched_stream
        self._worker.batched_send({"op": names.STARTED, "key": key})
        self._worker.loop.add_callback(self._note_sent, told, stream, stream.batch_count)

    def _note_sent(self, told: threading.Event, stream: Any, batches: int) -> None:
        # On the loop, where a batch is counted and written in one step. Without a connection this worker ends.
        if stream.batch_count > batches or stream.closed():
            told.set()
        else:
            self._worker.loop.call_later(_LOOK_S, self._note_sent, told, stream, batches)


def was_lost(task: TaskState | None) -> bool:
    """Return whether a worker was lost that had this task, or its result.

    Args:
        task: as this worker knows it; None if it has been taken away.
    """
    return task is None or names.LOST in (task.annotations or {})


def _is_ours(task: TaskState) -> bool:
    return getattr(getattr(task.run_spec, "func", None), "__module__", None) == names.ENTRY
