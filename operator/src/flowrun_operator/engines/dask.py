"""Dask: the scheduler is a child of the driver, workers are bare pods that find it through a Service."""

from __future__ import annotations

import json
from typing import Any

from flowrun_operator.api.constants import ROLE_DRIVER, ROLE_WORKER
from flowrun_operator.api.flowrun import ClusterSpec
from flowrun_operator.api.naming import worker_name
from flowrun_operator.api.taskcluster import TaskCluster
from flowrun_operator.build.labels import cluster_labels, owner
from flowrun_operator.build.pod import PodParts, env, pod_template
from flowrun_operator.build.prefect import prefect_env
from flowrun_operator.contract import ClusterContract

_READY_PORT = 8790
# SIGTERM ends a worker at once (no nanny); the rest is margin.
_WORKER_GRACE_S = 2
# /ready is ours: registered with the scheduler, not merely started.
_HTTP_ROUTES = ["prefect_flowrun.engines.dask_http", "distributed.http.worker.prometheus", "distributed.http.health"]
# The nanny would set these before it starts a worker; we run without one (it doubles the start-up time).
_THREAD_CAPS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class DaskBuilder:
    """Builders of the Dask engine."""

    def contract(self, cluster: ClusterSpec, port: int, startup_timeout_s: int) -> ClusterContract:
        """Return what the driver must know; see `EngineBuilder.contract`."""
        return ClusterContract(
            name=cluster.name,
            engine=cluster.engine.value,
            activation=cluster.activation.value,
            address=f"tcp://127.0.0.1:{port}",
            port=port,
            http_port=port + 1,
            workers=cluster.workers.replicas,
            threads_per_worker=cluster.workers.threads,
            startup_timeout_seconds=startup_timeout_s,
        )

    def service(self, cluster: TaskCluster) -> dict[str, Any]:
        """Return the Service to the scheduler's port on the driver pod.

        ClusterIP, not headless: a headless name looked up too early is cached as absent (0.5-1.8 s lost, up to 30 s).
        """
        own = cluster_labels(cluster, ROLE_DRIVER)
        selector = {key: value for key, value in own.items() if key.startswith("flowrun.dev/")}
        # The driver serves all clusters of its attempt: its pod has no label of one cluster.
        selector.pop("flowrun.dev/cluster", None)
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": cluster.metadata.name,
                "namespace": cluster.metadata.namespace,
                "labels": {key: value for key, value in own.items() if key != "flowrun.dev/role"},
                "ownerReferences": owner("TaskCluster", cluster.metadata.name, cluster.metadata.uid),
            },
            "spec": {
                "type": "ClusterIP",
                "selector": selector,
                # Workers knock themselves; readiness would only delay the endpoint.
                "publishNotReadyAddresses": True,
                "ports": [{"name": "scheduler", "port": cluster.spec.port, "targetPort": cluster.spec.port}],
            },
        }

    def worker(self, cluster: TaskCluster, index: int) -> dict[str, Any]:
        """Return a worker pod."""
        name = worker_name(cluster.metadata.name, index)
        options = cluster.spec.workers
        template = pod_template(_worker_parts(cluster, name), options)
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template["metadata"],
                "name": name,
                "namespace": cluster.metadata.namespace,
                "ownerReferences": owner("TaskCluster", cluster.metadata.name, cluster.metadata.uid),
            },
            "spec": template["spec"],
        }


def _worker_parts(cluster: TaskCluster, name: str) -> PodParts:
    spec = cluster.spec
    ref = spec.flow_run
    contract = env(
        FLOWRUN_NAME=ref.name if ref else None,
        FLOWRUN_NAMESPACE=cluster.metadata.namespace,
        FLOWRUN_ATTEMPT=ref.attempt if ref else None,
        FLOWRUN_CLUSTER=ref.cluster if ref else cluster.metadata.name,
        DASK_SCHEDULER_ADDRESS=f"tcp://{cluster.metadata.name}:{spec.port}",
        DASK_DISTRIBUTED__WORKER__HTTP__ROUTES=json.dumps(_HTTP_ROUTES),
        HOME="/tmp",  # noqa: S108
    )
    caps = [{"name": key, "value": value} for key, value in _THREAD_CAPS.items()]
    return PodParts(
        command=_command(cluster, name),
        env=[*contract, *prefect_env(spec.prefect)],
        image=spec.workers.image or "",
        labels=cluster_labels(cluster, ROLE_WORKER),
        grace_s=_WORKER_GRACE_S,
        pull_policy=spec.image_pull_policy,
        pull_secrets=spec.image_pull_secrets,
        ports=[{"name": "http", "containerPort": _READY_PORT}],
        # For the status only; nothing waits for it. 1 s is the shortest period there is.
        readiness_probe={"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1, "failureThreshold": 3},
        default_env=caps,
    )


def _command(cluster: TaskCluster, name: str) -> list[str]:
    # `python -m`, not the `dask` command: that imports every installed plugin of the command line (0.5 s and more).
    workers = cluster.spec.workers
    command = ["python", "-m", "distributed.cli.dask_worker", "--no-nanny", "--no-dashboard"]
    command += ["--dashboard-address", f":{_READY_PORT}", "--nthreads", str(workers.threads), "--name", name]
    command += ["--memory-limit", _memory_limit(cluster)]
    command += ["--death-timeout", str(cluster.spec.startup_deadline_seconds)]
    return [*command, "--preload", "prefect_flowrun.engines.dask_worker"]


def _memory_limit(cluster: TaskCluster) -> str:
    """Return the limit by which the worker spills and pauses: its container's, or none."""
    resources = cluster.spec.workers.resources
    limit = (resources.limits or {}).get("memory") if resources else None
    return _bytes(limit) if limit is not None else "0"


_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_DECIMAL = {"m": 10**-3, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}


def _bytes(quantity: int | str) -> str:
    """Return a Kubernetes quantity in bytes; Dask reads `Mi` as a unit it doesn't know, and `m` as mega.

    What is no quantity is passed on: the API server refuses the pod and says why.
    """
    text = str(quantity)
    unit = next((unit for unit in (*_BINARY, *_DECIMAL) if text.endswith(unit)), "")
    try:
        return str(int(float(text.removesuffix(unit)) * {**_BINARY, **_DECIMAL, "": 1}[unit]))
    except (ValueError, OverflowError):
        return text
