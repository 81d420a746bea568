"""What the Dask scheduler remembers for us, since it outlives any worker.

- Parcels: bytes that workers fetch when they first need them. Not as Dask data: a task is only ever placed on workers
  that hold what it depends on, so the first worker to hold Prefect's context would get all the tasks of a small flow.
- Starts: how often a task was begun. Dask counts for every task that was with a lost worker, begun or not: here that
  count begins anew with each start, and what has been lost without one is forgiven unless its inputs are so large that
  they may have been the end of the worker.
- Outcomes: small results of tasks that have ended. Dask would run a finished task again if its result is lost; and the
  driver is sent them with the news of their end, where Dask would have it ask each worker for each.
- Briefs: how tasks have ended, for a while after everybody has forgotten them: if Prefect does not know by then, it is
  told.

A plugin of the scheduler, registered by the client. Imports no prefect: the scheduler would be busy for a second.
"""

from __future__ import annotations

import pickle
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dask.sizeof import sizeof
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.protocol.pickle import dumps

from prefect_flowrun.engines.dask import names
from prefect_flowrun.engines.dask.worker_plugin import StartsAndEnds

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler, TaskState

# To receive so little is the end of no worker.
HARMLESS_BYTES = 2**20
# Of the last tasks, whose futures may have gone: 200 bytes each.
KEPT_BRIEFS = 20_000
_WITH_A_WORKER = ("processing", "memory")


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
        self._parcels: dict[str, tuple[str, Any]] = {}
        self._starts: dict[str, int] = {}
        self._outcomes: dict[str, bytes] = {}
        self._briefs: OrderedDict[str, bytes | None] = OrderedDict()
        self._scheduler: Scheduler | None = None

    async def start(self, scheduler: Scheduler) -> None:
        """Begin; called by the scheduler.

        Args:
            scheduler: the scheduler.
        """
        self._scheduler = scheduler
        scheduler.handlers.update(
            {names.PUT: self._put, names.GET: self._get, names.START: self._start, names.BRIEFS: self._get_briefs}
        )
        scheduler.stream_handlers.update(
            {names.DROP: self._drop, names.STARTED: self._start, names.FINISH: self._finish}
        )
        # Also to workers that are there already, and before they get a task.
        await scheduler.register_worker_plugin(None, dumps(StartsAndEnds()), name=names.NAME, idempotent=True)

    def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:
        """Forget what was kept for a task that the scheduler forgets; forgive one that was only lost with others.

        Args:
            key: of the task.
            start: state before.
            finish: state after.
        """
        if finish == "forgotten":
            self._starts.pop(key, None)
            self._outcomes.pop(key, None)
        elif start in _WITH_A_WORKER and finish not in _WITH_A_WORKER:
            self._note_loss(key)
            if start == "processing" and finish == "released":
                self._forgive_if_harmless(key)
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

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Drop the parcels of a client that has gone, perhaps without a farewell.

        Args:
            scheduler: the scheduler.
            client: its id.
        """
        for parcel in [parcel for parcel, (owner, _) in self._parcels.items() if owner == client]:
            del self._parcels[parcel]

    def _put(self, parcel: str, data: Any, owner: str) -> None:
        # As it has come, not unpickled: to send it on costs no copy then.
        self._parcels[parcel] = (owner, data)

    def _get(self, parcel: str) -> dict[str, Any]:
        return {"data": self._parcels[parcel][1]} if parcel in self._parcels else {}

    def _start(self, key: str, **_: Any) -> tuple[int, bytes | None]:
        count = self._starts.get(key, 0) + 1
        if (task := self._task(key)) is not None:
            task.suspicious = 0
            self._starts[key] = count
        return count, self._outcomes.get(key)

    def _drop(self, parcel: str, **_: Any) -> None:
        self._parcels.pop(parcel, None)

    def _note_loss(self, key: Any) -> None:
        task = self._task(key)
        if task is not None and names.is_ours(task):
            task.annotations = {**(task.annotations or {}), names.LOST: True}

    def _forgive_if_harmless(self, key: str) -> None:
        task = self._task(key)
        if task is None or not names.is_ours(task):
            return
        inputs = sum(dependency.get_nbytes() for dependency in task.dependencies)
        if inputs + sizeof(task.run_spec) < HARMLESS_BYTES:
            task.suspicious = 0

    def _finish(self, key: str, outcome: bytes | None, brief: bytes | None, **_: Any) -> None:
        task = self._task(key)
        if task is None or self._scheduler is None:
            return
        if outcome is not None:
            self._outcomes[key] = outcome
            # To those who hold a future of it, and before Dask says that it has ended: by the same road.
            self._scheduler.report({"op": names.OUTCOME, "key": key, "outcome": outcome}, ts=task)
        self._briefs[key] = brief
        if len(self._briefs) > KEPT_BRIEFS:
            self._briefs.popitem(last=False)

    def _task(self, key: Any) -> TaskState | None:
        return self._scheduler.tasks.get(key) if self._scheduler is not None else None

    def _get_briefs(self, keys: list[str]) -> dict[str, bytes]:
        return {key: brief for key in keys if (brief := self._briefs.get(key)) is not None}


def _amounts(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {amount:g}" for name, amount in sorted(resources.items())) or "nothing"
