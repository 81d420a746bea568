"""Ray: the head is a child of the driver, workers are bare pods whose launcher waits for the head and joins it.

Of the memory that its containers need 75 MiB are Ray's smallest object store, which a node refuses to go below.
"""

from __future__ import annotations

import json
import math
from typing import Any

from flowrun_api.kinds.common import FIRST_PORTS, Engine, Resources, SecretKey, WorkerOptions
from flowrun_api.kinds.naming import worker_name
from flowrun_api.kinds.taskcluster import TaskCluster
from flowrun_operator.build.pod import PYTHON, env, from_field, from_secret
from flowrun_operator.build.quantities import in_bytes, limit, request, value
from flowrun_operator.build.secrets import TOKEN_IN_SECRET
from flowrun_operator.build.template import effective_resources
from flowrun_operator.engines.base import HostParts
from flowrun_operator.engines.offers import offered
from flowrun_operator.engines.worker import READY_PORT, WorkerProcess, worker_pod

_MI = 2**20
# Of a container's memory limit, as Ray itself would choose. Memory volumes count against that limit.
_SHARED_PART = 0.3
# Ray compares the store with the free space, which is a little less than the volume.
_STORE_PART = 0.95
_SMALLEST_SHARED = 80 * _MI
# Without limit and request: what an ordinary worker of ours may use.
_UNKNOWN_MEMORY = 2 * 2**30
_FIRST_DASHBOARD_PORT = 8265

# On every container of a cluster alike: a half-set RAY_AUTH_MODE breaks clusters in confusing ways.
_ENVIRONMENT: dict[str, str | int] = {
    "RAY_AUTH_MODE": "token",
    # 30 s by default, which is a pod's whole grace period.
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": 0,
    # Ray's default is to run a task for ever again that needs too much memory.
    "RAY_task_oom_retries": 0,
    "RAY_USAGE_STATS_ENABLED": 0,
    # A driver started by `uv run` would make every worker build an environment of its own.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": 0,
}


class RayBuilder:
    """Builders of the Ray engine; see `EngineBuilder`."""

    # Measured with small tasks: with 192Mi Ray ends them for want of memory, 224Mi works.
    worker_floor_bytes = 256 * _MI

    def coordinator_floor_bytes(self, *, dashboard: bool) -> int:
        """Return what a head needs.

        Measured: driver and head together work in 224Mi. With a dashboard Ray's own agents are started too, and
        `ray start --head` alone fails in 640Mi and limps in 768Mi.
        """
        return (1024 if dashboard else 192) * _MI

    def address(self, host: str, port: int) -> str:
        """Return the address of a head's GCS."""
        return f"{host}:{port}"

    def http_port(self, port: int) -> int:
        """Return the dashboard's port: 8265 for the first head."""
        offset = port - FIRST_PORTS[Engine.RAY]
        return _FIRST_DASHBOARD_PORT + (offset if 0 <= offset < 1000 else 0)

    def dashboard_url(self, host: str, port: int) -> str:
        """Return the address of the head's dashboard."""
        return f"http://{host}:{self.http_port(port)}"

    def slots(self, workers: WorkerOptions) -> int:
        """Return the CPUs that a worker tells Ray of: its threads if set, else those of its container."""
        if workers.threads > 1:
            return workers.threads
        resources = effective_resources(workers)
        cpus = value(limit(resources, "cpu")) or value(request(resources, "cpu"))
        return max(1, math.ceil(cpus or 1))

    def store_bytes(self, resources: Resources | None, coordinators: int) -> int:
        """Return an equal part of the container's shared memory for every head.

        A plan: the node fits it to its /dev/shm, and to the limit that its container has if the spec has none.
        """
        return int(_shared_bytes(resources, coordinators) * _STORE_PART / coordinators)

    def host(self, resources: Resources | None, coordinators: int, token: SecretKey) -> HostParts:
        """Return shared memory, settings and token."""
        volumes, mounts = _shared_memory(resources, coordinators)
        return HostParts(_environment(token, resources), volumes, mounts)

    def worker(self, cluster: TaskCluster, index: int) -> dict[str, Any]:
        """Return a worker pod."""
        resources = effective_resources(cluster.spec.workers)
        volumes, mounts = _shared_memory(resources, 1)
        store = self.store_bytes(resources, 1)
        process = WorkerProcess(
            command=_command(cluster, index, self.slots(cluster.spec.workers), store),
            env=_environment(token_secret(cluster), resources),
            volumes=volumes,
            mounts=mounts,
        )
        return worker_pod(cluster, index, process)


def token_secret(cluster: TaskCluster) -> SecretKey:
    """Return where a cluster's token is: in the Secret that it names, else in one of its own."""
    own = f"{cluster.metadata.name}-ray-{cluster.metadata.uid[:8]}"
    return cluster.spec.token_secret or SecretKey(name=own, key=TOKEN_IN_SECRET)


def _environment(token: SecretKey, resources: Resources | None) -> list[dict[str, Any]]:
    # Where the plan is a guess the node takes its part of the limit that its container has in fact.
    guess = None if _limit_is_known(resources) else 1
    settings = env(**_ENVIRONMENT, FLOWRUN_RAY_FIT_STORE=guess)
    # Without its own address Ray probes a route to a public one, and falls back to the loopback.
    return [*settings, from_secret("RAY_AUTH_TOKEN", token), from_field("FLOWRUN_POD_IP", "status.podIP")]


def _shared_bytes(resources: Resources | None, nodes: int) -> int:
    memory = in_bytes(limit(resources, "memory")) or in_bytes(request(resources, "memory")) or _UNKNOWN_MEMORY
    return max(int(memory * _SHARED_PART), nodes * _SMALLEST_SHARED)


def _limit_is_known(resources: Resources | None) -> bool:
    return in_bytes(limit(resources, "memory")) is not None


def _shared_memory(resources: Resources | None, nodes: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return volume and mount of /dev/shm; a container's own has 64 MiB, which sends Ray's object store to the disk.

    Without a limit in the spec its size is left to the kubelet, which takes the limit that the pod has in the end.
    """
    size = {"sizeLimit": str(_shared_bytes(resources, nodes))} if _limit_is_known(resources) else {}
    volume = {"name": "shm", "emptyDir": {"medium": "Memory", **size}}
    return [volume], [{"name": "shm", "mountPath": "/dev/shm"}]  # noqa: S108


def _command(cluster: TaskCluster, index: int, cpus: int, store_bytes: int) -> list[str]:
    spec = cluster.spec
    offers = offered(spec.workers)
    gpus = offers.pop("GPU", 0)
    command = [*PYTHON, "prefect_flowrun.engines.ray_worker"]
    command += ["--address", f"{cluster.metadata.name}:{spec.coordinator_port}", "--num-cpus", str(cpus)]
    command += ["--num-gpus", str(gpus)] if gpus else []
    command += ["--resources", json.dumps(offers)] if offers else []
    command += ["--object-store-memory", str(store_bytes), "--ready-port", str(READY_PORT)]
    command += ["--name", worker_name(cluster.metadata.name, index)]
    return [*command, "--death-timeout", str(spec.startup_deadline_seconds)]
