"""Actions that run clusters and standalone ones have in common."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from flowrun_operator.decide.plan import EXPLAIN_AFTER_S, Action, Create, Delete, Explain
from flowrun_operator.decide.replacement import WorkerPlan
from flowrun_operator.engines import ENGINES
from flowrun_operator.model import ClusterView, PodFacts

# How often pods that don't run are looked at.
_CHECK_S = 2.0


def worker_actions(view: ClusterView, workers: WorkerPlan) -> list[Action]:
    """Return the creates and deletes of worker pods."""
    cluster = view.cluster
    engine = ENGINES[cluster.spec.engine]
    actions: list[Action] = [Create(engine.worker(cluster, index), cluster.metadata.uid) for index in workers.create]
    actions += [Delete("Pod", w.pod.name, w.pod.uid, grace_s=1) for w in workers.remove]
    return actions


def explain_silent(pods: Sequence[PodFacts], now: datetime) -> list[Action]:
    """Ask the first silent pod why, for all."""
    silent = next((pod for pod in pods if pod.silent), None)
    if silent is None or silent.created_at is None:
        return []
    return [Explain(silent.uid)] if (now - silent.created_at).total_seconds() >= EXPLAIN_AFTER_S else []


def next_look_s(workers: WorkerPlan, pods: Sequence[PodFacts]) -> float | None:
    """Return when to decide again, if nothing happens until then."""
    if workers.check_after_s is not None:
        return workers.check_after_s
    return _CHECK_S if any(pod.silent for pod in pods) else None
