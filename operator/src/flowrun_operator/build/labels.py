"""Labels and owner references of children."""

from __future__ import annotations

from typing import Any

from flowrun_api.constants import (
    API_VERSION,
    GROUP,
    LABEL_ATTEMPT,
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_ROLE,
    LABEL_RUN,
    LABEL_STANDALONE,
    MANAGER,
    ROLE_COORDINATOR,
    ROLE_DRIVER,
    ROLE_REPORT,
    ROLE_WORKER,
)
from flowrun_api.kinds.taskcluster import TaskCluster

_COMPONENTS = {ROLE_DRIVER: "driver", ROLE_WORKER: "worker", ROLE_COORDINATOR: "coordinator", ROLE_REPORT: "report"}


def labels(run: str, attempt: int, *, role: str | None = None, cluster: str | None = None) -> dict[str, str]:
    """Return the labels of a child.

    Never `prefect.io/flow-run-id`: Prefect's own observer would take any pod that has it for its own.
    """
    result = {**_common(run, role), LABEL_RUN: run, LABEL_ATTEMPT: str(attempt)}
    if role:
        result[LABEL_ROLE] = role
    if cluster:
        result[LABEL_CLUSTER] = cluster
    return result


def cluster_labels(cluster: TaskCluster, role: str | None = None) -> dict[str, str]:
    """Return the labels of a child of a TaskCluster.

    Those of a standalone one have no label of a run: a FlowRun of the same name would take its workers along.
    """
    ref = cluster.spec.flow_run
    if ref is not None:
        return labels(ref.name, ref.attempt, role=role, cluster=ref.cluster)
    name = cluster.metadata.name
    result = {**_common(name, role), LABEL_STANDALONE: name, LABEL_CLUSTER: name}
    return {**result, LABEL_ROLE: role} if role else result


def _common(instance: str, role: str | None) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "flowrun",
        "app.kubernetes.io/instance": instance,
        "app.kubernetes.io/component": _COMPONENTS.get(role or "", "cluster"),
        "app.kubernetes.io/part-of": "flowrun",
        LABEL_MANAGED_BY: MANAGER,
    }


def with_users(given: dict[str, Any] | None, own: dict[str, str]) -> dict[str, Any]:
    """Return a child's own labels with those that its user wants on it.

    Ours are those by which we find the child: without them it would be lost to us. The others of `app.kubernetes.io`
    only describe, and a policy may demand its own words there.

    Args:
        given: The user's labels.
        own: Ours.
    """
    described = {**own, **{key: value for key, value in (given or {}).items() if not _is_ours(key)}}
    return {**described, **{key: value for key, value in own.items() if _is_ours(key)}}


def _is_ours(key: str) -> bool:
    return key == LABEL_MANAGED_BY or key.startswith(f"{GROUP}/")


def selector(all_labels: dict[str, str]) -> str:
    """Return a label selector for children with these labels."""
    keys = (LABEL_MANAGED_BY, LABEL_RUN, LABEL_ATTEMPT, LABEL_STANDALONE, LABEL_ROLE, LABEL_CLUSTER)
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
