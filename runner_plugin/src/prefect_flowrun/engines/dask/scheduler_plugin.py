"""What the Dask scheduler remembers for us, since it outlives any worker.

- Parcels: bytes that workers fetch when they first need them. Not as Dask data: a task is only ever placed on workers
  that hold what it depends on, so the first worker to hold Prefect's context would get all the tasks of a small flow.
- Starts: how often a task was begun. Dask counts for every task that was with a lost worker, begun or not.
- Outcomes: small results of tasks that have ended. Dask would run a finished task again if its result is lost; and the
  driver gets many of them with one question, where Dask would ask each worker for each.

A plugin of the scheduler, registered by the client. Imports no prefect: the scheduler would be busy for a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler

NAME = "flowrun"
PUT, GET, START, OUTCOMES = "flowrun_put", "flowrun_get", "flowrun_start", "flowrun_outcomes"
DROP, FINISH = "flowrun-drop", "flowrun-finish"


class FlowRunMemory(SchedulerPlugin):  # type: ignore[misc] # distributed is untyped
    """Adds our messages to the scheduler's."""

    idempotent = True

    def __init__(self) -> None:
        self._parcels: dict[str, bytes] = {}
        self._starts: dict[str, int] = {}
        self._outcomes: dict[str, bytes] = {}

    def start(self, scheduler: Scheduler) -> None:
        """Begin; called by the scheduler.

        Args:
            scheduler: the scheduler.
        """
        scheduler.handlers.update({PUT: self._put, GET: self._get, START: self._start, OUTCOMES: self._get_outcomes})
        scheduler.stream_handlers.update({DROP: self._drop, FINISH: self._finish})

    def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:
        """Forget what was kept for a task that the scheduler forgets.

        Args:
            key: of the task.
            start: state before.
            finish: state after.
        """
        if finish == "forgotten":
            self._starts.pop(key, None)
            self._outcomes.pop(key, None)

    def _put(self, parcel: str, data: bytes) -> None:
        self._parcels[parcel] = data

    def _get(self, parcel: str) -> bytes:
        return self._parcels[parcel]

    def _start(self, key: str) -> tuple[int, bytes | None]:
        self._starts[key] = self._starts.get(key, 0) + 1
        return self._starts[key], self._outcomes.get(key)

    def _get_outcomes(self, keys: list[str]) -> dict[str, bytes]:
        return {key: self._outcomes[key] for key in keys if key in self._outcomes}

    def _drop(self, parcel: str, **_: Any) -> None:
        self._parcels.pop(parcel, None)

    def _finish(self, key: str, outcome: bytes, **_: Any) -> None:
        if key in self._starts:
            self._outcomes[key] = outcome
