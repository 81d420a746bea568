"""The Service by which workers, and users of a standalone cluster, find a coordinator."""

from __future__ import annotations

from typing import Any

from flowrun_api.constants import GROUP, LABEL_CLUSTER, LABEL_ROLE, ROLE_COORDINATOR, ROLE_DRIVER
from flowrun_api.kinds.taskcluster import TaskCluster
from flowrun_operator.build.labels import cluster_labels, owner, with_users


def coordinator_service(cluster: TaskCluster, http_port: int | None = None) -> dict[str, Any]:
    """Return the Service to the coordinator's port: on the driver's pod, or on a pod of its own.

    ClusterIP, not headless: a headless name looked up too early is cached as absent (0.5-1.8 s lost, up to 30 s).

    Args:
        cluster: Whose coordinator it is.
        http_port: Where the coordinator serves its dashboard, if it does.
    """
    own = cluster_labels(cluster, ROLE_DRIVER if cluster.spec.flow_run else ROLE_COORDINATOR)
    selector = {key: value for key, value in own.items() if key.startswith(f"{GROUP}/")}
    if cluster.spec.flow_run:
        # The driver serves all clusters of its attempt: its pod has no label of one cluster.
        selector.pop(LABEL_CLUSTER, None)
    port = cluster.spec.coordinator_port
    ports: list[dict[str, Any]] = [{"name": "scheduler", "port": port, "targetPort": port, "appProtocol": "tcp"}]
    if cluster.spec.dashboard and http_port is not None:
        ports.append({"name": "dashboard", "port": http_port, "targetPort": http_port, "appProtocol": "http"})
    of_cluster = {key: value for key, value in own.items() if key != LABEL_ROLE}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": cluster.metadata.name,
            "namespace": cluster.metadata.namespace,
            "labels": with_users(cluster.spec.pod_metadata.labels, of_cluster),
            "ownerReferences": owner("TaskCluster", cluster.metadata.name, cluster.metadata.uid),
        },
        "spec": {
            "type": "ClusterIP",
            "selector": selector,
            # Workers knock themselves; readiness would only delay the endpoint.
            "publishNotReadyAddresses": True,
            # A mesh that has to guess waits for the client to speak first, or takes it for HTTP (kuberay#1946).
            "ports": ports,
        },
    }
