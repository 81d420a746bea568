"""The status of a TaskCluster, computed whole. Condition `Ready` says what keeps workers away."""

from __future__ import annotations

from datetime import datetime

from flowrun_api.constants import ROLE_WORKER
from flowrun_api.kinds.common import ConditionStatus
from flowrun_api.kinds.naming import worker_name
from flowrun_api.kinds.taskcluster import TaskClusterStatus
from flowrun_operator.build.labels import cluster_labels, selector
from flowrun_operator.decide.conditions import condition, merge
from flowrun_operator.decide.replacement import WorkerPlan
from flowrun_operator.engines import ENGINES
from flowrun_operator.model import ClusterView, Problem

_Bare = tuple[str, ConditionStatus, str, str]


def cluster_status(
    view: ClusterView, workers: WorkerPlan, state: _Bare, now: datetime, lost_coordinators: int | None = None
) -> TaskClusterStatus:
    """Return the status.

    Args:
        view: The cluster and its children.
        workers: What is about to be done about its workers.
        state: The condition `Ready`.
        now: The time.
        lost_coordinators: How many coordinators were lost so far; None where the coordinator is a run's driver's.
    """
    cluster = view.cluster
    name, namespace = cluster.metadata.name, cluster.metadata.namespace
    live = [w for w in view.workers if w.pod.live]
    return TaskClusterStatus(
        conditions=merge(cluster.status.conditions, [state], cluster.metadata.generation, now),
        observed_generation=cluster.metadata.generation,
        address=ENGINES[cluster.spec.engine].address(f"{name}.{namespace}.svc", cluster.spec.coordinator_port),
        replicas=len(live) + len(workers.create),
        ready_replicas=sum(1 for w in live if w.pod.ready),
        lost_workers=cluster.status.lost_workers + workers.newly_lost,
        lost_coordinators=lost_coordinators,
        selector=selector(cluster_labels(cluster, ROLE_WORKER)),
    )


def workers_ready(view: ClusterView, workers: WorkerPlan) -> _Bare:
    """Return the condition `Ready` of a cluster whose coordinator is no problem."""
    spec = view.cluster.spec
    problem = _problem(view, workers)
    ready = sum(1 for w in view.workers if w.pod.live and w.pod.ready)
    if problem is not None:
        return not_ready(problem)
    if spec.suspend:
        return condition("Ready", False, "Suspended", "spec.suspend is set")
    if spec.workers.replicas == 0:
        return condition("Ready", True, "ScaledToZero", "no worker is wanted now")
    if ready >= spec.workers.replicas:
        return condition("Ready", True, "AllWorkersReady")
    return condition("Ready", False, "WorkersStarting", f"{ready} of {spec.workers.replicas} workers ready")


def not_ready(problem: Problem) -> _Bare:
    """Return the condition `Ready` of a cluster with a problem."""
    return condition("Ready", False, problem.reason, problem.message)


def _problem(view: ClusterView, workers: WorkerPlan) -> Problem | None:
    """Return what keeps workers away: a refused create, a pod that can't start, or workers that keep dying."""
    name = view.cluster.metadata.name
    refused = [view.problems.get(name)]
    refused += [view.problems.get(worker_name(name, index)) for index in workers.create]
    stuck = [w.pod.problem for w in view.workers if w.pod.live]
    found = next((problem for problem in (*refused, *stuck) if problem is not None), None)
    if found is not None:
        return found
    ended = next((w.pod for w in view.workers if w.pod.terminated and w.pod.terminated.exit_code != 0), None)
    if ended is not None and ended.terminated is not None and view.cluster.status.lost_workers > 2:
        last = ended.terminated
        return Problem("WorkersCrashing", f"{ended.name} ended with {last.reason} (exit code {last.exit_code})")
    return None
