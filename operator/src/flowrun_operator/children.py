"""The children of a FlowRun: the driver's Job, its TaskClusters, and the Secret with the Prefect key."""

from __future__ import annotations

import json
from typing import Any

from flowrun_operator.api.common import Metadata, PrefectOptions, SecretKey
from flowrun_operator.api.constants import API_VERSION, MANAGER, ROLE_DRIVER
from flowrun_operator.api.flowrun import FlowRun, TaskRunnerRedirect
from flowrun_operator.api.naming import attempt_name, cluster_name
from flowrun_operator.api.taskcluster import FlowRunRef, TaskCluster, TaskClusterSpec
from flowrun_operator.build.labels import labels, owner
from flowrun_operator.build.pod import SOURCE_PATH, PodParts, env, pod_template
from flowrun_operator.build.prefect import KEY_IN_SECRET, prefect_env
from flowrun_operator.engines import ENGINES
from flowrun_operator.model import Defaults

# Time for the driver to tell Prefect that it was stopped; SIGKILL follows.
DRIVER_GRACE_S = 8
# The result is in the pod: a Job that went sooner would take it along while the operator is restarted (F04). With the
# operator alive the Job goes with its FlowRun, at the run's own TTL.
_SHORTEST_JOB_TTL_S = 3600
# Coordinators of one driver share its network: each gets a range of ports.
_FIRST_PORT = 8786
_PORTS_EACH = 10
_REDIRECT = {
    TaskRunnerRedirect.ALL: "all",
    TaskRunnerRedirect.DEFAULT_ONLY: "default-only",
    TaskRunnerRedirect.NONE: "none",
}


def driver_job(run: FlowRun, attempt: int, defaults: Defaults) -> dict[str, Any]:
    """Return the Job of an attempt.

    A Job rather than a bare pod: its controller enforces the deadline and the TTL with the operator dead, and garbage
    collection takes everything that it owns along.
    """
    name = attempt_name(run.metadata.name, attempt)
    all_labels = labels(run.metadata.name, attempt, role=ROLE_DRIVER)
    spec: dict[str, Any] = {
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": max(run.spec.ttl_seconds_after_finished, _SHORTEST_JOB_TTL_S),
        "template": pod_template(_driver(run, attempt, defaults, all_labels), run.spec.driver),
    }
    if run.spec.active_deadline_seconds:
        spec["activeDeadlineSeconds"] = run.spec.active_deadline_seconds
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": run.metadata.namespace,
            "labels": all_labels,
            "ownerReferences": owner("FlowRun", run.metadata.name, run.metadata.uid),
        },
        "spec": spec,
    }


def _driver(run: FlowRun, attempt: int, defaults: Defaults, all_labels: dict[str, str]) -> PodParts:
    volumes, mounts = _source(run)
    contract = env(
        FLOWRUN_NAME=run.metadata.name,
        FLOWRUN_NAMESPACE=run.metadata.namespace,
        FLOWRUN_UID=run.metadata.uid,
        FLOWRUN_ATTEMPT=attempt,
        FLOWRUN_ENTRYPOINT=run.spec.flow.entrypoint,
        FLOWRUN_PARAMETERS=json.dumps(run.spec.flow.parameters or {}),
        FLOWRUN_TASK_RUNNERS=_REDIRECT[run.spec.redirect_task_runners],
        FLOWRUN_CLUSTERS=json.dumps(
            [
                ENGINES[cluster.engine]
                .contract(cluster, _port(index), run.spec.startup_deadline_seconds)
                .model_dump(by_alias=True)
                for index, cluster in enumerate(run.spec.clusters)
            ]
        ),
        HOME="/tmp",  # noqa: S108
    )
    return PodParts(
        command=["python", "-m", "prefect_flowrun.driver"],
        default_env=run.spec.env or [],
        env=[*contract, *prefect_env(_prefect(run, attempt, defaults))],
        image=run.spec.image or defaults.image,
        labels=all_labels,
        grace_s=DRIVER_GRACE_S,
        pull_policy=run.spec.image_pull_policy or defaults.image_pull_policy,
        pull_secrets=run.spec.image_pull_secrets,
        resources=defaults.driver_resources,
        ports=[
            {"name": f"scheduler-{index}", "containerPort": _port(index)} for index in range(len(run.spec.clusters))
        ],
        working_dir=SOURCE_PATH if run.spec.flow.source else None,
        volumes=volumes,
        mounts=mounts,
    )


def _source(run: FlowRun) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    source = run.spec.flow.source
    if source is None:
        return [], []
    if source.config_map:
        volume: dict[str, Any] = {"name": "source", "configMap": {"name": source.config_map}}
    else:
        claim = {"claimName": source.persistent_volume_claim, "readOnly": True}
        volume = {"name": "source", "persistentVolumeClaim": claim}
    return [volume], [{"name": "source", "mountPath": SOURCE_PATH, "readOnly": True}]


def _port(index: int) -> int:
    return _FIRST_PORT + _PORTS_EACH * index


def _prefect(run: FlowRun, attempt: int, defaults: Defaults) -> PrefectOptions:
    """Return how this attempt reaches Prefect, with the operator's defaults filled in."""
    if run.spec.prefect.api_url:  # another server: the operator's key is not for it
        return run.spec.prefect
    secret = run.spec.prefect.api_key_secret
    if secret is None and defaults.prefect_api_key_set:
        # With the uid: the Secret of a deleted run of the same name may still be there, about to be collected.
        name = f"{attempt_name(run.metadata.name, attempt)}-prefect-{run.metadata.uid[:8]}"
        secret = SecretKey(name=name, key=KEY_IN_SECRET)
    return PrefectOptions(api_url=defaults.prefect_api_url, api_key_secret=secret)


def key_secret(run: FlowRun, attempt: int, defaults: Defaults) -> dict[str, Any] | None:
    """Return the Secret that carries the operator's Prefect key to the run's namespace, without the key.

    The key itself is put in where the Secret is sent (`loop.act`), so that no plan ever holds it.
    """
    options = _prefect(run, attempt, defaults)
    secret = options.api_key_secret
    if secret is None or secret == run.spec.prefect.api_key_secret:
        return None
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": secret.name,
            "namespace": run.metadata.namespace,
            "labels": labels(run.metadata.name, attempt),
            "ownerReferences": owner("FlowRun", run.metadata.name, run.metadata.uid),
        },
        "type": "Opaque",
        "stringData": {KEY_IN_SECRET: ""},
    }


def task_cluster(run: FlowRun, attempt: int, job_uid: str, index: int, defaults: Defaults) -> dict[str, Any]:
    """Return a TaskCluster of an attempt, complete: later changes of the defaults don't reach it."""
    cluster = run.spec.clusters[index]
    workers = cluster.workers.model_copy(
        update={
            "image": cluster.workers.image or run.spec.image or defaults.image,
            "resources": cluster.workers.resources or defaults.worker_resources,
            "env": [*(run.spec.env or []), *(cluster.workers.env or [])] or None,
        }
    )
    built = TaskCluster(
        metadata=Metadata(name=cluster_name(run.metadata.name, attempt, cluster.name)),
        spec=TaskClusterSpec(
            engine=cluster.engine,
            flow_run=FlowRunRef(name=run.metadata.name, attempt=attempt, cluster=cluster.name),
            port=_port(index),
            image_pull_policy=run.spec.image_pull_policy or defaults.image_pull_policy,
            image_pull_secrets=run.spec.image_pull_secrets,
            workers=workers,
            prefect=_prefect(run, attempt, defaults),
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
            "labels": labels(run.metadata.name, attempt, cluster=cluster.name),
            "ownerReferences": owner("Job", attempt_name(run.metadata.name, attempt), job_uid),
        },
        "spec": built.spec.to_api(),
    }
