"""A real Dask scheduler in this process, and our engine on it."""

from __future__ import annotations

import dask
import distributed
import pytest

from prefect_flowrun.engines.dask.engine import DaskEngine
from prefect_flowrun.engines.dask.settings import SCHEDULER_CONFIG


@pytest.fixture
def workers() -> int:
    """How many the cluster has; a module with tests that need some has its own."""
    return 0


@pytest.fixture
def cluster(workers):
    settings = {**SCHEDULER_CONFIG, "distributed.comm.timeouts.connect": "2s"}
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=workers, processes=False, dashboard_address=None, threads_per_worker=1, resources={"CPU": 1}
        ) as started,
    ):
        yield started


@pytest.fixture
def engine(cluster):
    engine = DaskEngine(distributed.Client(cluster, set_as_default=False))
    yield engine
    engine.close()
