"""Dask: the scheduler is a child of the driver, workers are bare pods that find it through a Service."""

from __future__ import annotations

import json
from typing import Any

from flowrun_api.kinds.common import Resources, SecretKey, WorkerOptions
from flowrun_api.kinds.naming import worker_name
from flowrun_api.kinds.taskcluster import TaskCluster
from flowrun_operator.build.pod import PYTHON, env
from flowrun_operator.build.quantities import in_bytes, limit
from flowrun_operator.build.template import effective_resources
from flowrun_operator.engines.base import HostParts
from flowrun_operator.engines.offers import offered
from flowrun_operator.engines.worker import READY_PORT, WorkerProcess, worker_pod

# /ready is ours: registered with the scheduler, not merely started.
_HTTP_ROUTES = ["prefect_flowrun.engines.dask_http", "distributed.http.worker.prometheus", "distributed.http.health"]
# The nanny would set these before it starts a worker; we run without one (it doubles the start-up time).
_THREAD_CAPS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class DaskBuilder:
    """Builders of the Dask engine; see `EngineBuilder`."""

    worker_floor_bytes = 0

    def coordinator_floor_bytes(self, *, dashboard: bool) -> int:
        """Return 0: a scheduler starts in what every driver has."""
        return 0

    def address(self, host: str, port: int) -> str:
        """Return a scheduler's address."""
        return f"tcp://{host}:{port}"

    def http_port(self, port: int) -> int:
        """Return the port beside the scheduler's."""
        return port + 1

    def dashboard_url(self, host: str, port: int) -> str:
        """Return the address of bokeh's first page."""
        return f"http://{host}:{self.http_port(port)}/status"

    def slots(self, workers: WorkerOptions) -> int:
        """Return the threads of a worker."""
        return workers.threads

    def store_bytes(self, resources: Resources | None, coordinators: int) -> int | None:
        """Return None: results stay with the workers."""
        return None

    def host(self, resources: Resources | None, coordinators: int, token: SecretKey) -> HostParts:
        """Return nothing: a scheduler is an ordinary process."""
        return HostParts()

    def worker(self, cluster: TaskCluster, index: int) -> dict[str, Any]:
        """Return a worker pod."""
        address = self.address(cluster.metadata.name, cluster.spec.coordinator_port)
        process = WorkerProcess(
            command=_command(cluster, worker_name(cluster.metadata.name, index)),
            env=env(
                DASK_SCHEDULER_ADDRESS=address,
                DASK_DISTRIBUTED__WORKER__HTTP__ROUTES=json.dumps(_HTTP_ROUTES),
            ),
            default_env=env(**_THREAD_CAPS),
        )
        return worker_pod(cluster, index, process)


def _command(cluster: TaskCluster, name: str) -> list[str]:
    # `python -m`, not the `dask` command: that imports every installed plugin of the command line (0.5 s and more).
    workers = cluster.spec.workers
    command = [*PYTHON, "distributed.cli.dask_worker", "--no-nanny", "--no-dashboard"]
    command += ["--dashboard-address", f":{READY_PORT}", "--nthreads", str(workers.threads), "--name", name]
    command += ["--memory-limit", _memory_limit(cluster)]
    command += ["--death-timeout", str(cluster.spec.startup_deadline_seconds)]
    # What tasks may ask for by name (`needs` of the plugin, `dask.annotate`); the preload adds what Dask's own
    # configuration offers, which distributed would pass over for this.
    offers = {"CPU": workers.threads, **offered(workers)}
    command += ["--resources", " ".join(f"{name}={amount}" for name, amount in offers.items())]
    return [*command, "--preload", "prefect_flowrun.engines.dask_worker"]


def _memory_limit(cluster: TaskCluster) -> str:
    """Return the limit by which the worker spills and pauses, in bytes: its container's.

    Where the spec has none a LimitRange may set one, or a VPA (issue 11): then 1.0, which is Dask's word for all of the
    memory that the worker finds, its cgroup's if that has a limit.
    Dask reads `Mi` as a unit that it doesn't know, and `m` as mega. What is no quantity is passed on: the API server
    refuses the pod and says why.
    """
    given = limit(effective_resources(cluster.spec.workers), "memory")
    if given is None:
        return "1.0"
    known = in_bytes(given)
    return str(given) if known is None else str(known)
