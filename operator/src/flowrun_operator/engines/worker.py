"""A worker pod, as far as all engines' are alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flowrun_api.constants import ROLE_WORKER
from flowrun_api.kinds.naming import worker_name
from flowrun_api.kinds.taskcluster import TaskCluster
from flowrun_operator.build.labels import cluster_labels, owner
from flowrun_operator.build.pod import PodParts, env, pod_template
from flowrun_operator.build.prefect import prefect_env
from flowrun_operator.build.source import source_parts

# Where a worker answers GET /ready with 200 once its coordinator knows it.
READY_PORT = 8790
# SIGTERM ends a worker at once; the rest is margin.
_WORKER_GRACE_S = 2


@dataclass(frozen=True)
class WorkerProcess:
    """What an engine's worker is."""

    command: list[str]
    env: list[dict[str, Any]]
    # Weaker than the user's own entries, while `env` is stronger.
    default_env: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)
    mounts: list[dict[str, Any]] = field(default_factory=list)


def worker_pod(cluster: TaskCluster, index: int, process: WorkerProcess) -> dict[str, Any]:
    """Return a worker pod.

    Args:
        cluster: Whose worker it is.
        index: By which its name is made.
        process: What runs in it.
    """
    template = pod_template(_parts(cluster, process), cluster.spec.workers)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **template["metadata"],
            "name": worker_name(cluster.metadata.name, index),
            "namespace": cluster.metadata.namespace,
            "ownerReferences": owner("TaskCluster", cluster.metadata.name, cluster.metadata.uid),
        },
        "spec": template["spec"],
    }


def _parts(cluster: TaskCluster, process: WorkerProcess) -> PodParts:
    spec = cluster.spec
    ref = spec.flow_run
    contract = env(
        FLOWRUN_NAME=ref.name if ref else None,
        FLOWRUN_NAMESPACE=cluster.metadata.namespace,
        FLOWRUN_ATTEMPT=ref.attempt if ref else None,
        FLOWRUN_CLUSTER=ref.cluster if ref else cluster.metadata.name,
        HOME="/tmp",  # noqa: S108
    )
    source = source_parts(spec.source)
    return PodParts(
        command=process.command,
        env=[*contract, *source.env, *process.env, *prefect_env(spec.prefect)],
        image=spec.image or "",
        labels=cluster_labels(cluster, ROLE_WORKER),
        grace_s=_WORKER_GRACE_S,
        metadata=spec.pod_metadata,
        security=spec.pod_security_context,
        pull_policy=spec.image_pull_policy,
        pull_secrets=spec.image_pull_secrets,
        ports=[{"name": "http", "containerPort": READY_PORT}],
        # For the status only; nothing waits for it. 1 s is the shortest period there is.
        readiness_probe={"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1, "failureThreshold": 3},
        default_env=process.default_env,
        working_dir=source.working_dir,
        volumes=[*source.volumes, *process.volumes],
        mounts=[*source.mounts, *process.mounts],
    )
