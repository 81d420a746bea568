"""The clusters of an attempt: what the driver is told of them, and their TaskClusters."""

from __future__ import annotations

from typing import Any

from flowrun_api.constants import API_VERSION, MANAGER
from flowrun_api.contract import ClusterContract
from flowrun_api.kinds.clusters import ClusterSpec
from flowrun_api.kinds.common import FIRST_PORTS, Engine, Metadata, Resources
from flowrun_api.kinds.flowrun import FlowRun
from flowrun_api.kinds.naming import attempt_name, cluster_name
from flowrun_api.kinds.taskcluster import FlowRunRef, ScaleDown, TaskCluster, TaskClusterSpec, TaskClusterWorkers
from flowrun_operator.build.labels import labels, owner, with_users
from flowrun_operator.children.belongings import prefect_options, ray_token
from flowrun_operator.engines import ENGINES
from flowrun_operator.model import Defaults

# Coordinators of one driver share its network: each gets a range of ports.
_PORTS_EACH = 10


def port_of(run: FlowRun, index: int) -> int:
    """Return the port of a cluster's coordinator."""
    return FIRST_PORTS[run.spec.clusters[index].engine] + _PORTS_EACH * index


def contracts(run: FlowRun, attempt: int, defaults: Defaults, host: Resources | None) -> list[ClusterContract]:
    """Return what the driver must know of its clusters.

    Args:
        run: The run.
        attempt: Number of the attempt.
        defaults: The operator's settings.
        host: Resources of the driver's container, in which the coordinators run.
    """
    return [_contract(run, attempt, index, defaults, host) for index in range(len(run.spec.clusters))]


def _contract(run: FlowRun, attempt: int, index: int, defaults: Defaults, host: Resources | None) -> ClusterContract:
    cluster = run.spec.clusters[index]
    engine, port = ENGINES[cluster.engine], port_of(run, index)
    fewest, most = cluster.bounds
    workers = cluster.workers.model_copy(update={"resources": cluster.workers.resources or defaults.worker_resources})
    return ClusterContract(
        name=cluster.name,
        engine=cluster.engine.value,
        activation=cluster.activation.value,
        address=engine.address("127.0.0.1", port),
        port=port,
        http_port=engine.http_port(port),
        workers=cluster.workers_in_use,
        threads_per_worker=engine.slots(workers),
        startup_timeout_seconds=run.spec.startup_deadline_seconds,
        task_cluster=cluster_name(run.metadata.name, attempt, cluster.name),
        min_workers=fewest,
        max_workers=most,
        elastic=cluster.elastic,
        idle_seconds=cluster.idle_seconds,
        dashboard=cluster.dashboard,
        object_store_bytes=engine.store_bytes(host, count(run, cluster.engine)),
    )


def count(run: FlowRun, engine: Engine) -> int:
    """Return how many clusters of an engine the run has."""
    return sum(1 for cluster in run.spec.clusters if cluster.engine is engine)


def task_cluster(run: FlowRun, attempt: int, job_uid: str, index: int, defaults: Defaults) -> dict[str, Any]:
    """Return a TaskCluster of an attempt, complete: later changes of the defaults don't reach it."""
    cluster = run.spec.clusters[index]
    own = labels(run.metadata.name, attempt, cluster=cluster.name)
    built = TaskCluster(
        metadata=Metadata(name=cluster_name(run.metadata.name, attempt, cluster.name)),
        spec=TaskClusterSpec(
            engine=cluster.engine,
            flow_run=FlowRunRef(name=run.metadata.name, attempt=attempt, cluster=cluster.name),
            port=port_of(run, index),
            dashboard=cluster.dashboard,
            image_pull_policy=run.spec.image_pull_policy or defaults.image_pull_policy,
            image_pull_secrets=run.spec.image_pull_secrets,
            pod_metadata=run.spec.pod_metadata,
            pod_security_context=run.spec.pod_security_context or defaults.pod_security_context,
            source=run.spec.flow.source,
            workers=_workers(run, cluster, defaults),
            prefect=prefect_options(run, attempt, defaults),
            token_secret=ray_token(run, attempt) if cluster.engine is Engine.RAY else None,
            startup_deadline_seconds=run.spec.startup_deadline_seconds,
            managed_by=MANAGER,
        ),
    )
    return {
        "apiVersion": API_VERSION,
        "kind": "TaskCluster",
        "metadata": {
            "name": built.metadata.name,
            "namespace": run.metadata.namespace,
            "labels": with_users(run.spec.pod_metadata.labels, own),
            "ownerReferences": owner("Job", attempt_name(run.metadata.name, attempt), job_uid),
        },
        "spec": built.spec.to_api(),
    }


def _workers(run: FlowRun, cluster: ClusterSpec, defaults: Defaults) -> TaskClusterWorkers:
    given = cluster.workers.model_dump(exclude={"replicas", "min_replicas", "max_replicas"})
    return TaskClusterWorkers.model_validate(
        {
            **given,
            "image": cluster.workers.image or run.spec.image or defaults.image,
            "resources": cluster.workers.resources or defaults.worker_resources,
            "env": [*(run.spec.env or []), *(cluster.workers.env or [])] or None,
            "replicas": cluster.workers_at_start,
            # For the driver, which has a token: nothing that it asks for goes beyond what the run was given.
            "max_replicas": max(1, cluster.bounds[1]) if cluster.scaled_by_driver else None,
            "scale_down": ScaleDown.ENDED_ONLY if cluster.elastic else ScaleDown.ANY,
        }
    )
