"""Replacement: which workers to create and which to remove.

A worker that ended by itself is replaced after a moment: at the end of a run all workers leave before the driver's end
is known here, and those must not come back. One that failed again and again is replaced ever more slowly.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flowrun_operator.decide import scale_down
from flowrun_operator.model import ClusterView, WorkerFacts

# Told to leave (exit 0) or lost: how long until we believe that the cluster still wants it.
_LEFT_S = 10.0
_LOST_S = 2.0
_MAX_BACKOFF_S = 60.0
# A driver that finds room has a node by then: until then all pods of a run are made at once.
_DRIVER_PLACED_S = 2.0
_CHECK_S = 2.0


@dataclass(frozen=True)
class WorkerPlan:
    """Workers to create (by index), pods to remove, and when to look again."""

    create: tuple[int, ...]
    remove: tuple[WorkerFacts, ...]
    check_after_s: float | None
    newly_lost: int


def plan_workers(view: ClusterView, now: datetime) -> WorkerPlan:
    """Decide about the workers of a cluster.

    Args:
        view: The cluster; `workers` holds every existing pod of it, ended ones too.
        now: The time, timezone-aware.
    """
    spec = view.cluster.spec
    wanted = spec.wanted_workers
    if view.coordinator_ended:
        return WorkerPlan((), (), None, 0)
    if waits_for_driver(view, now):
        # What already runs has nothing to do either; given back only if the driver is known to want for room.
        held = view.workers if view.driver_held_up is not None and not view.driver_held_up.passing else ()
        return WorkerPlan((), tuple(w for w in held if w.pod.live), _CHECK_S, 0)
    surplus = scale_down.surplus(view.workers, wanted, spec.workers.scale_down)
    kept = [w for w in view.workers if w not in surplus]
    live = sum(1 for w in kept if w.pod.live)
    ended = [w for w in kept if w.pod.terminated is not None and not w.pod.deleting]
    due, wait_s = [], None
    for worker in ended:
        remaining = _remaining_s(worker, view.cluster.status.lost_workers, now)
        if remaining <= 0:
            due.append(worker)
        else:
            wait_s = remaining if wait_s is None else min(wait_s, remaining)
    missing = max(0, wanted - live - (len(ended) - len(due)))
    taken = {w.index for w in view.workers}
    free = (i for i in range(wanted + len(taken)) if i not in taken)
    create = tuple(next(free) for _ in range(missing))
    lost = len(due) + sum(1 for w in surplus if wanted > 0 and _was_lost(w))
    return WorkerPlan(create, (*due, *surplus), wait_s, newly_lost=lost)


def waits_for_driver(view: ClusterView, now: datetime) -> bool:
    """Whether the driver has no node for longer than that takes: its workers must not hold the room that it needs."""
    created = view.cluster.metadata.creation_timestamp
    return not view.driver_placed and created is not None and (now - created).total_seconds() > _DRIVER_PLACED_S


def _was_lost(worker: WorkerFacts) -> bool:
    """Whether a worker ended otherwise than by being told to."""
    return worker.pod.terminated is not None and worker.pod.terminated.exit_code != 0


def _remaining_s(worker: WorkerFacts, lost_before: int, now: datetime) -> float:
    terminated = worker.pod.terminated
    if terminated is None or terminated.finished_at is None:
        return 0.0
    delay = _LEFT_S if terminated.exit_code == 0 else _LOST_S
    # The first few losses are bad luck; after that something is wrong with every worker.
    delay = min(_MAX_BACKOFF_S, delay * 2 ** max(0, lost_before - 3))
    return (terminated.finished_at + timedelta(seconds=delay) - now).total_seconds()
