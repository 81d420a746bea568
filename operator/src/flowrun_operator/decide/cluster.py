"""A TaskCluster: its Service, its workers and its status."""

from __future__ import annotations

from datetime import datetime

from flowrun_operator.api.constants import MANAGER, ROLE_WORKER
from flowrun_operator.api.naming import worker_name
from flowrun_operator.api.taskcluster import TaskCluster, TaskClusterStatus
from flowrun_operator.build.labels import cluster_labels, selector
from flowrun_operator.decide.conditions import condition, merge
from flowrun_operator.decide.plan import EXPLAIN_AFTER_S, Action, Create, Delete, Explain, Plan
from flowrun_operator.decide.replacement import WorkerPlan, plan_workers
from flowrun_operator.engines import ENGINES
from flowrun_operator.model import ClusterView, Problem

_CHECK_S = 2.0


def decide_cluster(view: ClusterView, now: datetime) -> Plan:
    """Decide what to do about a TaskCluster.

    Args:
        view: The cluster and its children at one moment.
        now: The time, timezone-aware.
    """
    cluster = view.cluster
    if cluster.spec.managed_by != MANAGER or cluster.metadata.deletion_timestamp is not None:
        return Plan()
    engine = ENGINES.get(cluster.spec.engine)
    if engine is None or cluster.spec.flow_run is None:
        reason = "EngineNotSupported" if engine is None else "StandaloneNotSupported"
        message = _unsupported(cluster)
        return Plan(status=_status(view, WorkerPlan((), (), None, 0), Problem(reason, message), now))
    workers = plan_workers(view, now)
    uid = cluster.metadata.uid
    actions: list[Action] = []
    if not view.service_exists and not view.coordinator_ended:
        actions.append(Create(engine.service(cluster), uid))
    actions += [Create(engine.worker(cluster, index), uid) for index in workers.create]
    actions += [Delete("Pod", w.pod.name, w.pod.uid, grace_s=1) for w in workers.remove]
    silent = [w.pod for w in view.workers if w.pod.live and not w.pod.running and w.pod.problem is None]
    actions += [
        Explain(pod.uid)
        for pod in silent[:1]
        if pod.created_at is not None and (now - pod.created_at).total_seconds() >= EXPLAIN_AFTER_S
    ]
    check = workers.check_after_s if workers.check_after_s is not None else (_CHECK_S if silent else None)
    return Plan(
        actions=tuple(actions),
        status=_status(view, workers, _problem(view, workers), now),
        # A delayed status would be computed anew when the lost pods are gone, and never count them.
        final=workers.newly_lost > 0,
        requeue_after_s=check,
    )


def _unsupported(cluster: TaskCluster) -> str:
    if cluster.spec.engine not in ENGINES:
        return f"this operator has no engine {cluster.spec.engine.value} yet"
    return "a TaskCluster that belongs to no FlowRun is not supported yet"


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


def _status(view: ClusterView, workers: WorkerPlan, problem: Problem | None, now: datetime) -> TaskClusterStatus:
    cluster = view.cluster
    old = cluster.status
    live = [w for w in view.workers if w.pod.live]
    ready = sum(1 for w in live if w.pod.ready)
    wanted = cluster.spec.workers.replicas
    if problem is not None:
        state = condition("Ready", False, problem.reason, problem.message)
    elif cluster.spec.suspend:
        state = condition("Ready", False, "Suspended", "spec.suspend is set")
    elif ready >= wanted:
        state = condition("Ready", True, "AllWorkersReady")
    else:
        state = condition("Ready", False, "WorkersStarting", f"{ready} of {wanted} workers ready")
    return TaskClusterStatus(
        conditions=merge(old.conditions, [state], cluster.metadata.generation, now),
        observed_generation=cluster.metadata.generation,
        address=f"tcp://{cluster.metadata.name}.{cluster.metadata.namespace}.svc:{cluster.spec.port}",
        replicas=len(live) + len(workers.create),
        ready_replicas=ready,
        lost_workers=old.lost_workers + workers.newly_lost,
        selector=selector(cluster_labels(cluster, ROLE_WORKER)),
    )
