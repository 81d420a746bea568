"""What a TaskCluster needs that belongs to no FlowRun: a pod for its coordinator, and the word that its nodes share."""

from __future__ import annotations

import json
from typing import Any

from flowrun_api.constants import ROLE_COORDINATOR
from flowrun_api.contract import ClusterContract
from flowrun_api.kinds.common import Engine, PodOptions, Resources
from flowrun_api.kinds.naming import coordinator_name
from flowrun_api.kinds.taskcluster import TaskCluster
from flowrun_operator.build.labels import cluster_labels, owner, with_users
from flowrun_operator.build.pod import PYTHON, PodParts, env, pod_template
from flowrun_operator.build.prefect import prefect_env
from flowrun_operator.build.quantities import total
from flowrun_operator.build.secrets import secret
from flowrun_operator.build.source import source_parts
from flowrun_operator.build.template import effective_resources
from flowrun_operator.engines import ENGINES
from flowrun_operator.engines.ray import token_secret
from flowrun_operator.model import Defaults

# Nothing to save: clients and workers see the connection break.
_GRACE_S = 2


def completed(cluster: TaskCluster, defaults: Defaults) -> TaskCluster:
    """Return a standalone cluster with the operator's defaults filled in."""
    spec = cluster.spec
    coordinator = total(defaults.driver_resources, [defaults.coordinator_resources.get(spec.engine) or Resources()])
    filled: dict[str, Any] = {
        "image": spec.image or defaults.image or None,
        "image_pull_policy": spec.image_pull_policy or defaults.image_pull_policy,
        "pod_security_context": spec.pod_security_context or defaults.pod_security_context,
        "workers": _with_resources(spec.workers, defaults.worker_resources),
        "coordinator": _with_resources(spec.coordinator, coordinator),
    }
    if spec.prefect.api_url is None:
        filled["prefect"] = spec.prefect.model_copy(update={"api_url": defaults.prefect_api_url})
    return cluster.model_copy(update={"spec": spec.model_copy(update=filled)})


def _with_resources(options: PodOptions, resources: Resources | None) -> PodOptions:
    return options.model_copy(update={"resources": options.resources or resources})


def token_of_its_own(cluster: TaskCluster) -> dict[str, Any] | None:
    """Return the Secret with a Ray cluster's token, unless the user names one."""
    if cluster.spec.engine is not Engine.RAY or cluster.spec.token_secret is not None:
        return None
    where = token_secret(cluster)
    own = with_users(cluster.spec.pod_metadata.labels, cluster_labels(cluster))
    return secret(where.name, cluster.metadata.namespace, where.key, own, _owner(cluster))


def coordinator_pod(cluster: TaskCluster) -> dict[str, Any]:
    """Return the pod of a standalone cluster's coordinator.

    Args:
        cluster: With the defaults filled in.
    """
    template = pod_template(_parts(cluster), cluster.spec.coordinator)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **template["metadata"],
            "name": coordinator_name(cluster.metadata.name),
            "namespace": cluster.metadata.namespace,
            "ownerReferences": _owner(cluster),
        },
        "spec": template["spec"],
    }


def _parts(cluster: TaskCluster) -> PodParts:
    spec = cluster.spec
    host = ENGINES[spec.engine].host(effective_resources(spec.coordinator), 1, token_secret(cluster))
    source = source_parts(spec.source)
    contract = env(
        FLOWRUN_NAMESPACE=cluster.metadata.namespace,
        FLOWRUN_CLUSTERS=json.dumps([_contract(cluster).model_dump(by_alias=True)]),
        FLOWRUN_CLUSTER=cluster.metadata.name,
        FLOWRUN_IDLE_SECONDS=spec.idle_seconds,
        HOME="/tmp",  # noqa: S108
    )
    return PodParts(
        command=[*PYTHON, "prefect_flowrun.coordinator"],
        env=[*contract, *source.env, *host.env, *prefect_env(spec.prefect)],
        image=spec.image or "",
        labels=cluster_labels(cluster, ROLE_COORDINATOR),
        grace_s=_GRACE_S,
        metadata=spec.pod_metadata,
        security=spec.pod_security_context,
        pull_policy=spec.image_pull_policy,
        pull_secrets=spec.image_pull_secrets,
        ports=[{"name": "scheduler", "containerPort": spec.coordinator_port}],
        working_dir=source.working_dir,
        volumes=[*source.volumes, *host.volumes],
        mounts=[*source.mounts, *host.mounts],
    )


def _contract(cluster: TaskCluster) -> ClusterContract:
    """Return what the coordinator's process must know. The number of workers is whatever they are scaled to."""
    spec = cluster.spec
    engine, port = ENGINES[spec.engine], spec.coordinator_port
    return ClusterContract(
        name=cluster.metadata.name,
        engine=spec.engine.value,
        address=engine.address("127.0.0.1", port),
        port=port,
        http_port=engine.http_port(port),
        workers=spec.workers.replicas,
        threads_per_worker=engine.slots(spec.workers),
        startup_timeout_seconds=spec.startup_deadline_seconds,
        task_cluster=cluster.metadata.name,
        max_workers=spec.workers.max_replicas or spec.workers.replicas,
        dashboard=spec.dashboard,
        object_store_bytes=engine.store_bytes(effective_resources(spec.coordinator), 1),
    )


def _owner(cluster: TaskCluster) -> list[dict[str, Any]]:
    return owner("TaskCluster", cluster.metadata.name, cluster.metadata.uid)
