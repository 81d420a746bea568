"""Builders of test objects. Every argument has a default that makes a healthy, ordinary object."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from flowrun_api.kinds.common import Engine
from flowrun_api.kinds.flowrun import FlowRun
from flowrun_api.kinds.taskcluster import TaskCluster
from flowrun_operator.build.labels import labels, owner
from flowrun_operator.model import (
    AttemptView,
    ClusterFacts,
    ClusterView,
    Defaults,
    JobFacts,
    PodFacts,
    Room,
    RunView,
    Terminated,
    WorkerFacts,
)

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
NAMESPACE = "team"
RUN_UID = "11111111-aaaa"
DEFAULTS = Defaults(image="runtime:1", prefect_api_url="http://prefect:4200/api")
DASK_CLUSTER = {"name": "default", "engine": "Dask", "workers": {"replicas": 2}}


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def rfc(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def message(type_: str = "COMPLETED", reason: str = "FlowCompleted", **more: Any) -> str:
    """Return a driver's termination message."""
    return json.dumps({"flowRunId": "f-1", "type": type_, "name": type_.title(), "reason": reason, **more})


def raw_run(name: str = "etl", *, spec: dict | None = None, status: dict | None = None, **metadata: Any) -> dict:
    return {
        "apiVersion": "flowrun.dev/v1alpha1",
        "kind": "FlowRun",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": RUN_UID,
            "generation": 1,
            "resourceVersion": "1",
            "creationTimestamp": rfc(NOW),
            **metadata,
        },
        "spec": {"flow": {"entrypoint": "etl.py:etl"}, "clusters": [DASK_CLUSTER], **(spec or {})},
        **({"status": status} if status else {}),
    }


def a_run(spec: dict | None = None, status: dict | None = None, name: str = "etl", **metadata: Any) -> FlowRun:
    return FlowRun.model_validate(raw_run(name, spec=spec, status=status, **metadata))


def a_job(number: int = 1, age_s: float = 10, **changes: Any) -> JobFacts:
    return JobFacts(**{"name": f"etl-{number}", "uid": f"job-{number}", "created_at": ago(age_s), **changes})


def a_pod(**changes: Any) -> PodFacts:
    given = {"name": "etl-1-abcde", "uid": "pod-1", "phase": "Running", "created_at": ago(9), "running": True}
    return PodFacts(**{**given, **changes})


def lost_pod(**changes: Any) -> PodFacts:
    """Return a driver's pod as it is shown when its node does not answer."""
    return a_pod(**{"unreachable": True, "node": "n1", **changes})


def ended_pod(text: str = "", exit_code: int = 0, reason: str = "Completed", **changes: Any) -> PodFacts:
    """Return a pod whose main container has ended."""
    end = Terminated(exit_code=exit_code, reason=reason, message=text, finished_at=changes.pop("finished_at", ago(1)))
    phase = "Succeeded" if exit_code == 0 else "Failed"
    return a_pod(**{"phase": phase, "running": False, "terminated": end, **changes})


def a_cluster_facts(number: int = 1, **changes: Any) -> ClusterFacts:
    given = {
        "name": "default",
        "object_name": f"etl-{number}-default",
        "uid": f"cluster-{number}",
        "engine": Engine.DASK,
        "address": f"tcp://etl-{number}-default.team.svc:8786",
        "workers": 2,
        "ready_workers": 2,
    }
    return ClusterFacts(**{**given, **changes})


_UNSET: Any = object()


def an_attempt(number: int = 1, *, job: Any = _UNSET, driver: Any = _UNSET, **changes: Any) -> AttemptView:
    """Return an attempt: by default its Job exists and its driver and workers run."""
    given = {"clusters": (a_cluster_facts(number),), "worker_pods": 2, "live_workers": 2, **changes}
    return AttemptView(
        number,
        job=a_job(number) if job is _UNSET else job,
        driver=a_pod() if driver is _UNSET else driver,
        **given,
    )


def a_view(*attempts: AttemptView, run: FlowRun | None = None, **changes: Any) -> RunView:
    return RunView(**{"run": run or a_run(), "attempts": attempts, "defaults": DEFAULTS, "room": Room(), **changes})


def attempt_status(number: int = 1, *, ended: bool = False, reason: str | None = None, age_s: float = 10) -> dict:
    status: dict[str, Any] = {"number": number, "startTime": rfc(ago(age_s))}
    if ended or reason:
        status |= {"completionTime": rfc(ago(1)), "reason": reason or "DriverKilled"}
    return status


def a_condition(type_: str, status: str, reason: str = "Because", age_s: float = 60, text: str = "") -> dict:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": text,
        "lastTransitionTime": rfc(ago(age_s)),
        "observedGeneration": 1,
    }


def finished_status(age_s: float = 60, state: str = "Succeeded") -> dict:
    return {
        "conditions": [a_condition("Succeeded", "True" if state == "Succeeded" else "False", "FlowCompleted", age_s)],
        "state": state,
        "observedGeneration": 1,
        "completionTime": rfc(ago(age_s)),
        "attempts": [attempt_status(1, reason="FlowCompleted")],
    }


def raw_cluster(*, spec: dict | None = None, status: dict | None = None, **metadata: Any) -> dict:
    return {
        "apiVersion": "flowrun.dev/v1alpha1",
        "kind": "TaskCluster",
        "metadata": {
            "name": "etl-1-default",
            "namespace": NAMESPACE,
            "uid": "cluster-1",
            "generation": 1,
            "resourceVersion": "1",
            "labels": labels("etl", 1, cluster="default"),
            "ownerReferences": owner("Job", "etl-1", "job-1"),
            **metadata,
        },
        "spec": {
            "engine": "Dask",
            "flowRun": {"name": "etl", "attempt": 1, "cluster": "default"},
            "workers": {"replicas": 2, "image": "runtime:1"},
            **(spec or {}),
        },
        **({"status": status} if status else {}),
    }


def a_cluster(spec: dict | None = None, status: dict | None = None, **metadata: Any) -> TaskCluster:
    return TaskCluster.model_validate(raw_cluster(spec=spec, status=status, **metadata))


def a_worker(index: int = 0, pod: PodFacts | None = None, **changes: Any) -> WorkerFacts:
    name = f"etl-1-default-w-{index}"
    given = {"name": name, "uid": f"w-{index}", "ready": True}
    return WorkerFacts(index, pod or a_pod(**{**given, **changes}))


def ended_worker(index: int = 0, exit_code: int = 1, ended_s_ago: float = 60, **changes: Any) -> WorkerFacts:
    name = f"etl-1-default-w-{index}"
    given = {"name": name, "uid": f"w-{index}", "finished_at": ago(ended_s_ago), "reason": "Error"}
    return WorkerFacts(index, ended_pod("", exit_code, **{**given, **changes}))


def a_cluster_view(*workers: WorkerFacts, cluster: TaskCluster | None = None, **changes: Any) -> ClusterView:
    given = {"cluster": cluster or a_cluster(), "service_exists": True, "workers": workers, "coordinator_ended": False}
    return ClusterView(**{**given, **changes})


def raw_pod(
    *,
    name: str = "etl-1-abcde",
    phase: str = "Pending",
    state: dict | None = None,
    conditions: list[dict] | None = None,
    others: list[dict] | None = None,
    init: list[dict] | None = None,
    labels: dict | None = None,
    status: dict | None = None,
    **metadata: Any,
) -> dict:
    """Return a pod as the API server gives it; `state` is that of the main container."""
    statuses = [*(others or []), *([{"name": "flowrun", "state": state}] if state is not None else [])]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": "pod-1",
            "resourceVersion": "5",
            "creationTimestamp": rfc(ago(9)),
            "labels": labels or {},
            **metadata,
        },
        "status": {
            "phase": phase,
            **({"containerStatuses": statuses} if statuses else {}),
            **({"conditions": conditions} if conditions else {}),
            **({"initContainerStatuses": init} if init else {}),
            **(status or {}),
        },
    }
