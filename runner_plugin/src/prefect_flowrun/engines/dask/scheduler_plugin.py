"""What the Dask scheduler remembers for us, since it outlives any worker.

- Parcels: bytes that workers fetch when they first need them. Not as Dask data: a task is only ever placed on workers
  that hold what it depends on, so the first worker to hold Prefect's context would get all the tasks of a small flow.
- Starts: how often a task was begun. Dask counts for every task that was with a lost worker, begun or not.
- Outcomes: small results of tasks that have ended. Dask would run a finished task again if its result is lost; and the
  driver gets many of them with one question, where Dask would ask each worker for each.

A plugin of the scheduler, registered by the client. Imports no prefect: the scheduler would be busy for a second.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler

NAME = "flowrun"
PUT, GET, START, OUTCOMES = "flowrun_put", "flowrun_get", "flowrun_start", "flowrun_outcomes"
DROP, FINISH = "flowrun-drop", "flowrun-finish"


class NotOfferedError(Exception):
    """A task asks for resources that no worker has."""

    def __init__(self, needs: str, offers: str) -> None:
        super().__init__(needs, offers)

    def __str__(self) -> str:
        needs, offers = self.args
        return (
            f"No Dask worker can take the task: it needs {needs}, and the workers offer {offers}. "
            "A FlowRun says what they offer in spec.clusters[].workers: threads, devices, customResources"
        )


class FlowRunMemory(SchedulerPlugin):  # type: ignore[misc] # distributed is untyped
    """Adds our messages to the scheduler's."""

    idempotent = True

    def __init__(self) -> None:
        self._parcels: dict[str, bytes] = {}
        self._starts: dict[str, int] = {}
        self._outcomes: dict[str, bytes] = {}
        self._scheduler: Scheduler | None = None

    def start(self, scheduler: Scheduler) -> None:
        """Begin; called by the scheduler.

        Args:
            scheduler: the scheduler.
        """
        self._scheduler = scheduler
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
        elif finish == "no-worker" and self._scheduler is not None:
            # Not in the middle of a transition.
            self._scheduler.loop.add_callback(self._refuse_what_nobody_offers)

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Look what a new worker offers; called by the scheduler.

        Args:
            scheduler: the scheduler.
            worker: its address.
        """
        scheduler.loop.add_callback(self._refuse_what_nobody_offers)

    def _refuse_what_nobody_offers(self) -> None:
        """Fail tasks that ask for more of a resource than any worker has.

        Dask lets them wait until its `no-workers-timeout`, 15 minutes in a FlowRun. The workers of a cluster are alike,
        so the first one that is there tells what any will offer.
        """
        scheduler = self._scheduler
        if scheduler is None or not scheduler.workers:
            return
        offers = {name: max(supplied.values()) for name, supplied in scheduler.resources.items() if supplied}
        for task in list(scheduler.unrunnable):
            needs = task.resource_restrictions or {}
            if any(offers.get(name, 0) < amount for name, amount in needs.items()):
                stimulus = f"flowrun-not-offered-{time.time()}"
                error = pickle.dumps(NotOfferedError(_amounts(needs), _amounts(offers)))
                recommended = scheduler.transition(
                    task.key, "erred", exception=error, cause=task.key, stimulus_id=stimulus
                )
                scheduler.transitions(recommended, stimulus_id=stimulus)

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


def _amounts(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {amount:g}" for name, amount in sorted(resources.items())) or "nothing"
