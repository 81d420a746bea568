"""Labels and owner references of children."""

from __future__ import annotations

from typing import Any

from flowrun_operator.api.constants import (
    API_VERSION,
    LABEL_ATTEMPT,
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_ROLE,
    LABEL_RUN,
    MANAGER,
)
from flowrun_operator.api.taskcluster import TaskCluster

_COMPONENTS = {"driver": "driver", "worker": "worker", None: "cluster"}


def labels(run: str, attempt: int, *, role: str | None = None, cluster: str | None = None) -> dict[str, str]:
    """Return the labels of a child.

    Never `prefect.io/flow-run-id`: Prefect's own observer would take any pod that has it for its own.
    """
    result = {
        "app.kubernetes.io/name": "flowrun",
        "app.kubernetes.io/instance": run,
        "app.kubernetes.io/component": _COMPONENTS.get(role, "cluster"),
        "app.kubernetes.io/part-of": "flowrun",
        LABEL_MANAGED_BY: MANAGER,
        LABEL_RUN: run,
        LABEL_ATTEMPT: str(attempt),
    }
    if role:
        result[LABEL_ROLE] = role
    if cluster:
        result[LABEL_CLUSTER] = cluster
    return result


def cluster_labels(cluster: TaskCluster, role: str) -> dict[str, str]:
    """Return the labels of a child of a TaskCluster."""
    ref = cluster.spec.flow_run
    if ref is None:
        return labels(cluster.metadata.name, 1, role=role, cluster=cluster.metadata.name)
    return labels(ref.name, ref.attempt, role=role, cluster=ref.cluster)


def selector(all_labels: dict[str, str]) -> str:
    """Return a label selector for children with these labels."""
    keys = (LABEL_MANAGED_BY, LABEL_RUN, LABEL_ATTEMPT, LABEL_ROLE, LABEL_CLUSTER)
    return ",".join(f"{key}={all_labels[key]}" for key in keys if key in all_labels)


def owner(kind: str, name: str, uid: str) -> list[dict[str, Any]]:
    """Return the owner reference to one of our own kinds or to a Job.

    blockOwnerDeletion stays false: it would need rights on finalizers and nothing waits in the foreground.
    """
    api_version = "batch/v1" if kind == "Job" else API_VERSION
    return [
        {
            "apiVersion": api_version,
            "kind": kind,
            "name": name,
            "uid": uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]
