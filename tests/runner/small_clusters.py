"""Small clusters of both engines: one worker, which runs one task or several at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

THREADS = (1, 4)


@dataclass(frozen=True)
class SmallCluster:
    """One worker of an engine."""

    engine: str
    threads: int

    def runner(self, **options: Any) -> Any:
        from prefect_flowrun import ClusterTaskRunner

        return ClusterTaskRunner(engine=self.engine, **options)


@contextmanager
def dask_cluster(threads: int, patch: pytest.MonkeyPatch) -> Iterator[None]:
    import distributed

    from prefect_flowrun.engines.dask.engine import DaskEngine
    from prefect_flowrun.runner import connections

    # The conformance suite holds one of its own for the whole session.
    patch.setattr(connections, "_slots", {})

    def start() -> DaskEngine:
        # As a pod of a FlowRun: see the operator's engines/dask.py.
        cluster = distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=threads,
            dashboard_address=None,
            memory_limit=0,
            resources={"CPU": threads, "db": 1},
        )
        return DaskEngine(distributed.Client(cluster, set_as_default=False), cluster)

    patch.setattr(DaskEngine, "start_local", staticmethod(start))
    yield


@contextmanager
def ray_cluster(threads: int, patch: pytest.MonkeyPatch) -> Iterator[None]:
    import ray

    from prefect_flowrun.runner import connections

    patch.setattr(connections, "_slots", {})
    # An earlier module may have left one.
    ray.shutdown()
    ray.init("local", num_cpus=threads, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        yield
    finally:
        ray.shutdown()


CLUSTERS = {"dask": dask_cluster, "ray": ray_cluster}
