"""The clusters that the tests of the engines share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prefect_server import PrefectServer
from small_clusters import CLUSTERS, THREADS, SmallCluster


@pytest.fixture(
    scope="module",
    params=[(engine, threads) for engine in CLUSTERS for threads in THREADS],
    ids=lambda p: f"{p[0]}-{p[1]}",
)
def small_cluster(request: pytest.FixtureRequest, prefect_api: PrefectServer) -> Iterator[SmallCluster]:
    """Held by the module's tests, and used by every `ClusterTaskRunner` of its engine meanwhile."""
    from prefect_flowrun.runner import connections

    engine, threads = request.param
    with pytest.MonkeyPatch.context() as patch, CLUSTERS[engine](threads, patch):
        connection = connections.acquire_local(engine)
        try:
            yield SmallCluster(engine, threads)
        finally:
            connections.release(connection)
