"""A standalone TaskCluster: a coordinator pod and workers, for whoever attaches to it.

No worker wanted, no pod at all: a cluster scaled to 0 is parked. A coordinator that ends by itself because nobody used
it parks the cluster or deletes it; one that ends otherwise was lost and is replaced with its workers, whose state went
with it, ever more slowly.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from flowrun_api.contract import IDLE, parse_last_words
from flowrun_api.kinds.naming import coordinator_name
from flowrun_api.kinds.taskcluster import IdleAction
from flowrun_operator.build.service import coordinator_service
from flowrun_operator.children import completed, coordinator_pod, token_of_its_own
from flowrun_operator.decide.cluster_actions import explain_silent, next_look_s, worker_actions
from flowrun_operator.decide.cluster_status import cluster_status, not_ready, workers_ready
from flowrun_operator.decide.conditions import condition
from flowrun_operator.decide.memory import standalone_shortage
from flowrun_operator.decide.plan import Action, Create, Delete, Plan, Scale
from flowrun_operator.decide.replacement import WorkerPlan, plan_workers
from flowrun_operator.engines import http_port
from flowrun_operator.model import ClusterView, PodFacts, Problem

_NO_WORKERS = WorkerPlan((), (), None, 0)
_LOST_S = 2.0
_MAX_BACKOFF_S = 60.0


def decide_standalone(view: ClusterView, now: datetime) -> Plan:
    """Decide what to do about a TaskCluster that belongs to no FlowRun."""
    view = replace(view, cluster=completed(view.cluster, view.defaults))
    invalid = _invalid(view)
    if invalid is not None:
        return _with_status(view, Plan(), invalid, now)
    if view.cluster.spec.wanted_workers == 0:
        return _parked(view, now)
    coordinator = view.coordinator
    if coordinator is None or coordinator.live:
        return _running(view, now)
    if coordinator.deleting:  # its workers have lost it, and its name is free only when it has gone
        starting = Problem("CoordinatorStarting", f"pod {coordinator.name} is being deleted")
        return _with_status(view, Plan(actions=tuple(_all_pods(view))), starting, now)
    return _idle(view) if _ended_idle(coordinator) else _lost(view, coordinator, now)


def _invalid(view: ClusterView) -> Problem | None:
    """Return what no waiting can mend."""
    spec = view.cluster.spec
    if not spec.image and not (spec.workers.image and spec.coordinator.image):
        return Problem("ImageMissing", "no image is known: set spec.image, or runtime.image when installing the chart")
    return standalone_shortage(view.cluster)


def _parked(view: ClusterView, now: datetime) -> Plan:
    name = view.cluster.metadata.name
    message = f"no worker is wanted: kubectl scale taskclusters.flowrun.dev/{name} --replicas=N starts the cluster"
    if view.cluster.spec.suspend:
        return _with_status(
            view, Plan(actions=tuple(_all_pods(view))), Problem("Suspended", "spec.suspend is set"), now
        )
    return _with_status(view, Plan(actions=tuple(_all_pods(view))), Problem("Parked", message), now)


def _idle(view: ClusterView) -> Plan:
    """Park or delete a cluster that nobody used.

    Scaled first: the pod that tells of the idle end must stay until that is done. The rest follows from the new number.
    """
    metadata = view.cluster.metadata
    if view.cluster.spec.idle_action is IdleAction.DELETE:
        return Plan(actions=(Delete("TaskCluster", metadata.name, metadata.uid),))
    return Plan(first=((Scale(metadata.name, 0, metadata.resource_version),),), actions=tuple(_all_pods(view)))


def _lost(view: ClusterView, ended: PodFacts, now: datetime) -> Plan:
    """Replace a lost coordinator: once all pods of the cluster are gone it starts anew."""
    lost_before = view.cluster.status.lost_coordinators or 0
    end = ended.terminated
    how = f"{end.reason} (exit code {end.exit_code})" if end else ended.phase
    said = f": {end.message.strip()[:500]}" if end and end.message.strip() else ""
    problem = Problem("CoordinatorLost", f"{ended.name} ended with {how}{said}")
    wait_s = 0.0
    if end is not None and end.finished_at is not None:
        delay = min(_MAX_BACKOFF_S, _LOST_S * 2 ** max(0, lost_before - 3))
        wait_s = (end.finished_at + timedelta(seconds=delay) - now).total_seconds()
    if wait_s > 0:
        return _with_status(view, Plan(requeue_after_s=wait_s), problem, now)
    plan = Plan(actions=tuple(_all_pods(view)), final=True)
    return _with_status(view, plan, problem, now, lost_coordinators=lost_before + 1)


def _running(view: ClusterView, now: datetime) -> Plan:
    cluster, coordinator = view.cluster, view.coordinator
    uid = cluster.metadata.uid
    workers = plan_workers(view, now)
    actions: list[Action] = []
    if not view.service_exists:
        actions.append(Create(coordinator_service(cluster, http_port(cluster)), uid))
    if coordinator is None:
        token = token_of_its_own(cluster)
        actions += [Create(token, uid)] if token else []
        actions.append(Create(coordinator_pod(cluster), uid))
    pods = [*([coordinator] if coordinator else []), *(w.pod for w in view.workers)]
    problem = _coordinator_problem(view)
    state = not_ready(problem) if problem else workers_ready(view, workers)
    return Plan(
        actions=(*actions, *worker_actions(view, workers), *explain_silent(pods, now)),
        status=cluster_status(view, workers, state, now, view.cluster.status.lost_coordinators or 0),
        final=workers.newly_lost > 0,
        requeue_after_s=next_look_s(workers, pods),
    )


def _coordinator_problem(view: ClusterView) -> Problem | None:
    """Return what keeps the coordinator away; workers can do nothing without."""
    name = coordinator_name(view.cluster.metadata.name)
    token = token_of_its_own(view.cluster)
    wanted = [name, *([token["metadata"]["name"]] if token else [])]
    refused = next((view.problems[n] for n in wanted if n in view.problems), None)
    if refused is not None:
        return refused
    pod = view.coordinator
    if pod is not None and pod.running:
        return None
    if pod is not None and pod.problem is not None:
        return pod.problem
    return Problem("CoordinatorStarting", f"pod {name} is {pod.phase if pod else 'about to be created'}")


def _ended_idle(pod: PodFacts) -> bool:
    end = pod.terminated
    if end is None or end.exit_code != 0:
        return False
    said = parse_last_words(end.message)
    return said is not None and said.reason == IDLE


def _all_pods(view: ClusterView) -> list[Action]:
    """Delete coordinator and workers; clients see the connection break, nothing else is lost."""
    pods = [*([view.coordinator] if view.coordinator else []), *(w.pod for w in view.workers)]
    # Of a pod that has ended only the object is left: with a grace the kubelet would keep the name for 2 s more.
    return [Delete("Pod", pod.name, pod.uid, grace_s=int(pod.live or pod.lingers)) for pod in pods if not pod.deleting]


def _with_status(
    view: ClusterView, plan: Plan, problem: Problem, now: datetime, lost_coordinators: int | None = None
) -> Plan:
    lost = view.cluster.status.lost_coordinators or 0 if lost_coordinators is None else lost_coordinators
    state = condition("Ready", False, problem.reason, problem.message)
    return replace(plan, status=cluster_status(view, _NO_WORKERS, state, now, lost))
