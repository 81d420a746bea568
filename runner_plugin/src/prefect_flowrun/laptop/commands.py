"""Command lines and environments of a run's processes: what the operator puts into pods, for this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flowrun_api import environment
from flowrun_api.contract import ClusterContract, idempotency_key
from flowrun_api.kinds.clusters import ClusterSpec
from flowrun_api.kinds.common import Engine
from flowrun_api.kinds.flowrun import FlowRunSpec
from prefect_flowrun.laptop.spec import variables

NAMESPACE = "local"
_PYTHON = [sys.executable, "-P", "-m"]
_LOOPBACK = "127.0.0.1"
# As pods have them: one thread of a task is one CPU.
_THREAD_CAPS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# Of each Ray node on this machine: heads have no tasks, workers pass what is large on by it.
_HEAD_STORE_BYTES, _WORKER_STORE_BYTES = 80 * 2**20, 200 * 2**20


@dataclass(frozen=True)
class Command:
    """A process to start."""

    argv: list[str]
    env: dict[str, str]
    cwd: Path


@dataclass(frozen=True)
class Place:
    """Where a run's files and servers are."""

    folder: Path
    """Of the run's own, gone after it."""
    code: Path
    """In which the flow's processes work."""
    source: Path | None
    """What the working folder is filled from; None if the code is there already."""
    api_url: str
    """Of Prefect."""
    scale_socket: Path
    ray_token: str
    own: Mapping[str, str]
    """The command's environment."""


@dataclass(frozen=True)
class Identity:
    """Whose attempt it is."""

    name: str
    uid: str
    attempt: int

    @property
    def idempotency_key(self) -> str:
        """Of the flow run in Prefect."""
        return idempotency_key(self.uid)


def contract(cluster: ClusterSpec, startup_s: int, port: int, http_port: int) -> ClusterContract:
    """Return what the driver is told of a cluster.

    Args:
        cluster: as the manifest has it.
        startup_s: longest wait for workers, in seconds.
        port: free, for the engine's protocol.
        http_port: free, for health and dashboard.
    """
    on_dask = cluster.engine is Engine.DASK
    fewest, most = cluster.bounds
    return ClusterContract(
        name=cluster.name,
        engine=cluster.engine.value,
        activation=cluster.activation,
        address=f"tcp://{_LOOPBACK}:{port}" if on_dask else f"{_LOOPBACK}:{port}",
        port=port,
        http_port=http_port,
        workers=cluster.workers_in_use,
        threads_per_worker=cluster.workers.threads,
        startup_timeout_seconds=startup_s,
        task_cluster=cluster.name,
        min_workers=fewest,
        max_workers=most,
        elastic=cluster.elastic,
        idle_seconds=cluster.idle_seconds,
        dashboard=cluster.dashboard,
        object_store_bytes=None if on_dask else _HEAD_STORE_BYTES,
    )


def driver(spec: FlowRunSpec, who: Identity, clusters: list[ClusterContract], place: Place, result: Path) -> Command:
    """Return the driver of an attempt.

    Args:
        spec: of the run.
        who: attempts what.
        clusters: of the run.
        place: of its files.
        result: where the driver leaves how the attempt has ended.
    """
    told = {
        environment.NAME: who.name,
        environment.NAMESPACE: NAMESPACE,
        environment.UID: who.uid,
        environment.ATTEMPT: str(who.attempt),
        environment.ENTRYPOINT: spec.flow.entrypoint,
        environment.PARAMETERS_FILE: str(place.folder / "parameters.json"),
        environment.TASK_RUNNERS: spec.redirect_task_runners.policy.value,
        environment.CLUSTERS: json.dumps([cluster.model_dump(mode="json", by_alias=True) for cluster in clusters]),
        environment.TERMINATION_LOG: str(result),
        environment.SCALE_SOCKET: str(place.scale_socket),
        # A Prefect server of the run's own is about to start.
        environment.API_TIMEOUT_SECONDS: place.own.get(environment.API_TIMEOUT_SECONDS, "120"),
    }
    users = {**variables(spec.env, place.own), **variables(spec.driver.env, place.own)}
    return Command([*_PYTHON, "prefect_flowrun.driver"], {**_base(place), **users, **told}, place.code)


def worker(
    spec: FlowRunSpec, who: Identity, cluster: ClusterSpec, told: ClusterContract, place: Place, name: str
) -> Command:
    """Return a worker of a cluster.

    Args:
        spec: of the run.
        who: attempts what.
        cluster: whose worker it is.
        told: what the driver was told of the cluster.
        place: of the run's files.
        name: of the worker.
    """
    own = {
        environment.NAME: who.name,
        environment.NAMESPACE: NAMESPACE,
        environment.ATTEMPT: str(who.attempt),
        environment.CLUSTER: cluster.name,
        environment.TERMINATION_LOG: str(place.folder / f"{name}.result"),
    }
    users = {**variables(spec.env, place.own), **variables(cluster.workers.env, place.own)}
    argv = _dask_worker if cluster.engine is Engine.DASK else _ray_worker
    env = {**_THREAD_CAPS, **_base(place), **users, **own, "DASK_SCHEDULER_ADDRESS": told.address}
    return Command(argv(cluster, told, place, name), env, place.code)


def report(who: Identity, place: Place, type_: str, message: str) -> Command:
    """Return what tells Prefect the end of an attempt whose driver could not.

    Args:
        who: attempts what.
        place: of the run's files.
        type_: one of `records.close_runs.REPORTS`.
        message: shown in Prefect.
    """
    told = {
        environment.ATTEMPT: str(who.attempt),
        environment.IDEMPOTENCY_KEY: who.idempotency_key,
        environment.REPORT_TYPE: type_,
        environment.REPORT_MESSAGE: message,
    }
    return Command([*_PYTHON, "prefect_flowrun.report_end"], {**_base(place), **told}, place.folder)


def _base(place: Place) -> dict[str, str]:
    env = {name: value for name, value in place.own.items() if not name.startswith("FLOWRUN_")}
    env |= {
        "PREFECT_API_URL": place.api_url,
        "PYTHONUNBUFFERED": "1",
        # Nobody outside of this machine is meant to reach the run's processes, and Ray's ask for a token.
        environment.LISTEN: _LOOPBACK,
        environment.RAY_FOLDER: str(place.folder / "ray"),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": place.ray_token,
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        "RAY_task_oom_retries": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        # Ray has several nodes on one machine only where it is Linux, unless told otherwise.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
    }
    env |= {name: place.own[name] for name in environment.OF_USERS if name in place.own}
    if place.source is not None:
        env |= {environment.SOURCE: str(place.source), environment.WORK: str(place.code)}
    return env


def _dask_worker(cluster: ClusterSpec, told: ClusterContract, place: Place, name: str) -> list[str]:
    workers = cluster.workers
    offers = {"CPU": workers.threads, **(workers.custom_resources or {})}
    command = [*_PYTHON, "distributed.cli.dask_worker", "--no-nanny", "--no-dashboard", "--host", _LOOPBACK]
    command += ["--dashboard-address", f"{_LOOPBACK}:0", "--nthreads", str(workers.threads), "--name", name]
    # Each would take the whole machine for its own, and pause when the others have filled it.
    command += ["--memory-limit", "0", "--local-directory", str(place.folder / "dask")]
    command += ["--death-timeout", str(told.startup_timeout_seconds)]
    command += ["--resources", " ".join(f"{offer}={amount}" for offer, amount in offers.items())]
    return [*command, "--preload", "prefect_flowrun.engines.dask_worker"]


def _ray_worker(cluster: ClusterSpec, told: ClusterContract, place: Place, name: str) -> list[str]:
    offers = dict(cluster.workers.custom_resources or {})
    gpus = offers.pop("GPU", 0)
    command = [*_PYTHON, "prefect_flowrun.engines.ray_worker"]
    command += ["--address", told.address, "--num-cpus", str(cluster.workers.threads), "--num-gpus", str(gpus)]
    command += ["--resources", json.dumps(offers)] if offers else []
    command += ["--object-store-memory", str(_WORKER_STORE_BYTES), "--name", name]
    command += ["--temp-dir", str(place.folder / "ray" / name)]
    return [*command, "--death-timeout", str(told.startup_timeout_seconds)]
