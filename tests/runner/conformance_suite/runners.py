"""The task runners that are compared, and the clusters they use: one of a kind for the whole session."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect.task_runners import TaskRunner

MakeRunner = Callable[[], "TaskRunner[Any]"]
WORKERS = 2


@contextmanager
def threads() -> Iterator[MakeRunner]:
    from prefect.task_runners import ThreadPoolTaskRunner

    yield ThreadPoolTaskRunner


@contextmanager
def prefect_dask() -> Iterator[MakeRunner]:
    from distributed import LocalCluster
    from prefect_dask import DaskTaskRunner

    # Processes of one thread: what a pod of a cluster is.
    with LocalCluster(
        n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0
    ) as cluster:
        yield lambda: DaskTaskRunner(address=cluster.scheduler_address)


@contextmanager
def prefect_ray() -> Iterator[MakeRunner]:
    import ray
    from prefect_ray import RayTaskRunner

    # Ray allows one connection per process. Whoever comes first starts it, the other runner attaches to it.
    started = not ray.is_initialized()
    if started:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        # "local", or it would join a cluster that it finds on this machine.
        ray.init("local", num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        yield RayTaskRunner
    finally:
        if started:
            ray.shutdown()


@contextmanager
def _flowrun(engine: str) -> Iterator[MakeRunner]:
    from prefect_flowrun import ClusterTaskRunner

    yield lambda: ClusterTaskRunner(engine=engine)


@contextmanager
def _flowrun_cluster(engine: str) -> Iterator[MakeRunner]:
    from prefect_flowrun.runner import connections

    # Held for the session; each flow would start and stop its own otherwise.
    connection = connections.acquire_local(engine)
    try:
        with _flowrun(engine) as make:
            yield make
    finally:
        connections.release(connection)


RUNNERS = {
    "threads": threads,
    "prefect-dask": prefect_dask,
    "prefect-ray": prefect_ray,
    "flowrun-dask": lambda: _flowrun_cluster("dask"),
    "flowrun-ray": lambda: _flowrun_cluster("ray"),
    "flowrun-threads": lambda: _flowrun("threads"),
    "flowrun-sequential": lambda: _flowrun("sequential"),
}
