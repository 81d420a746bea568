"""One snapshot of a run or a cluster, put together from the cached raw objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from flowrun_api.constants import (
    LABEL_ATTEMPT,
    LABEL_CLUSTER,
    LABEL_ROLE,
    LABEL_RUN_UID,
    ROLE_COORDINATOR,
    ROLE_DRIVER,
    ROLE_REPORT,
    ROLE_WORKER,
)
from flowrun_api.contract import VERSION_MISMATCH, parse_last_words
from flowrun_api.kinds.common import Engine
from flowrun_api.kinds.flowrun import FlowRun, PrefectFlowRun
from flowrun_api.kinds.naming import worker_index
from flowrun_api.kinds.taskcluster import TaskCluster
from flowrun_operator.model import (
    AttemptView,
    ClusterFacts,
    ClusterView,
    Defaults,
    JobFacts,
    PodFacts,
    Problem,
    RunView,
    WorkerFacts,
)
from flowrun_operator.observe.fields import Raw, at, attempt_number, condition, label, owner_name, owner_uid
from flowrun_operator.observe.jobs import job_facts
from flowrun_operator.observe.pods import pod_facts

Explanations = Mapping[str, Problem]


def run_view(
    raw: Raw,
    *,
    jobs: Iterable[Raw],
    clusters: Iterable[Raw],
    pods: Iterable[Raw],
    defaults: Defaults,
    problems: Mapping[str, Problem],
    explanations: Explanations,
    flow_runs: Mapping[int, PrefectFlowRun],
    gone_jobs: frozenset[str] = frozenset(),
    podless_jobs: frozenset[str] = frozenset(),
    told: str = "",
    begun: int = 0,
) -> RunView:
    """Return a FlowRun with everything that carries its label.

    Args:
        raw: The FlowRun.
        jobs: Jobs with the run's label; those of another owner are left out.
        clusters: TaskClusters with the run's label.
        pods: Pods with the run's label.
        defaults: The operator's settings.
        problems: Refused creates, by name.
        explanations: What events said, by uid.
        flow_runs: Prefect's records, by attempt.
        gone_jobs: Names of Jobs that the API server said don't exist.
        podless_jobs: Names of Jobs that it said have no pod.
        told: The last report that Prefect has heard.
        begun: The newest attempt whose Job or driver was ever seen, 0 for none.
    """
    run = FlowRun.model_validate(raw)
    numbers: dict[int, JobFacts] = {}
    report, report_pod = None, None
    all_pods = list(pods)
    for job in jobs:
        if owner_uid(job) != run.metadata.uid:
            continue
        facts = job_facts(job, explanations.get(at(job, "metadata", "uid")))
        if label(job, LABEL_ROLE) == ROLE_REPORT:
            report, report_pod = facts, _pod_of(facts, all_pods, explanations)
        else:
            numbers[attempt_number(job)] = facts
    all_clusters = list(clusters)
    workers: dict[int, list[PodFacts]] = defaultdict(list)
    for pod in all_pods:
        if label(pod, LABEL_ROLE) == ROLE_WORKER:
            workers[attempt_number(pod)].append(pod_facts(pod))
    attempts = tuple(
        AttemptView(
            number=number,
            job=job,
            driver=_pod_of(job, all_pods, explanations),
            clusters=tuple(_cluster_facts(c) for c in all_clusters if owner_uid(c) == job.uid),
            worker_pods=sum(1 for p in workers[number] if not p.deleting),
            live_workers=sum(1 for p in workers[number] if p.live),
            lingering_workers=tuple(p for p in workers[number] if p.lingers),
            pod_gone=job.name in podless_jobs,
            unfit_worker=next((said for p in workers[number] if (said := _unfit(p)) is not None), None),
        )
        for number, job in sorted(numbers.items())
    )
    view = RunView(
        run=run,
        attempts=attempts,
        defaults=defaults,
        problems=dict(problems),
        gone_jobs=gone_jobs,
        # Told by its own label: when a Job is deleted its pod is there for longer. Only of pods that are of some Job:
        # anybody may write labels (issue 13).
        drivers=tuple(
            pod_facts(p)
            for p in all_pods
            if label(p, LABEL_RUN_UID) == (run.metadata.uid or None) and owner_name(p, "Job")
        ),
        report_job=report,
        report_pod=report_pod,
        told=told,
        begun=begun,
    )
    current = view.current
    return replace(view, flow_run=flow_runs.get(current.number) if current else None)


def cluster_view(
    raw: Raw,
    *,
    services: Iterable[Raw],
    pods: Iterable[Raw],
    defaults: Defaults,
    problems: Mapping[str, Problem],
    explanations: Explanations,
    run: Raw | None = None,
) -> ClusterView:
    """Return a TaskCluster with its Service, workers and the state of its coordinator's pod.

    Args:
        raw: The TaskCluster.
        services: Services in its namespace of its run, or its own.
        pods: Pods of its run, or its own: its workers and its coordinator's pod are picked out.
        defaults: The operator's settings.
        problems: Refused creates, by name.
        explanations: What events said, by uid.
        run: The FlowRun that it belongs to.
    """
    cluster = TaskCluster.model_validate(raw)
    uid = cluster.metadata.uid
    workers = []
    drivers = []
    coordinator = None
    for pod in pods:
        facts = pod_facts(pod, explanations.get(at(pod, "metadata", "uid")))
        index = worker_index(cluster.metadata.name, facts.name)
        if owner_uid(pod) == uid and index is not None:
            workers.append(WorkerFacts(index, facts))
        elif owner_uid(pod) == uid and label(pod, LABEL_ROLE) == ROLE_COORDINATOR:
            coordinator = facts
        elif label(pod, LABEL_ROLE) == ROLE_DRIVER and label(pod, LABEL_ATTEMPT) == _own_attempt(cluster):
            drivers.append(facts)
    return ClusterView(
        cluster=cluster,
        service_exists=any(owner_uid(s) == uid for s in services),
        workers=tuple(sorted(workers, key=lambda w: w.index)),
        coordinator_ended=_attempt_over(cluster, run) or (bool(drivers) and not any(d.live for d in drivers)),
        problems=dict(problems),
        coordinator=coordinator,
        driver_placed=cluster.spec.flow_run is None or any(driver.node or driver.running for driver in drivers),
        driver_held_up=_held_up(raw, drivers, explanations),
        defaults=defaults,
    )


def _held_up(cluster: Raw, drivers: list[PodFacts], explanations: Explanations) -> Problem | None:
    """Return what keeps a driver from a node: of a pod that is not there its Job knows, which owns the cluster."""
    known = next((driver.problem for driver in drivers if driver.problem is not None), None)
    return known or (None if drivers else explanations.get(owner_uid(cluster) or ""))


def _unfit(worker: PodFacts) -> str | None:
    """Return what a worker said that found itself to be of another version than its cluster."""
    said = parse_last_words(worker.terminated.message) if worker.terminated else None
    if said is None or said.reason != VERSION_MISMATCH:
        return None
    return f"worker {worker.name}: {said.message}"


def _attempt_over(cluster: TaskCluster, run: Raw | None) -> bool:
    """Whether the run has recorded the end of the attempt: what is kept of it then is never mended."""
    ref = cluster.spec.flow_run
    attempts = at(run, "status", "attempts") or []
    return ref is not None and any(a.get("number") == ref.attempt and a.get("completionTime") for a in attempts)


def _own_attempt(cluster: TaskCluster) -> str:
    return str(cluster.spec.flow_run.attempt) if cluster.spec.flow_run else ""


def _pod_of(job: JobFacts, pods: list[Raw], explanations: Explanations) -> PodFacts | None:
    """Return the Job's pod; the one that still lives should there be two."""
    own = [pod_facts(p, explanations.get(at(p, "metadata", "uid"))) for p in pods if owner_uid(p) == job.uid]
    return next((p for p in own if p.live), own[0] if own else None)


def _cluster_facts(raw: Raw) -> ClusterFacts:
    ready = condition(raw, "Ready")
    problem = None
    if ready is not None and ready.get("status") == "False" and ready.get("reason") != "WorkersStarting":
        problem = Problem(str(ready.get("reason")), str(ready.get("message", "")))
    return ClusterFacts(
        name=label(raw, LABEL_CLUSTER),
        object_name=at(raw, "metadata", "name"),
        uid=at(raw, "metadata", "uid"),
        engine=Engine(at(raw, "spec", "engine")),
        address=at(raw, "status", "address"),
        workers=int(at(raw, "spec", "workers", "replicas") or 0),
        ready_workers=int(at(raw, "status", "readyReplicas") or 0),
        deleting=at(raw, "metadata", "deletionTimestamp") is not None,
        problem=problem,
    )
