"""Where a dashboard is, told in the flow run's log."""

from __future__ import annotations

import logging

import pytest

from flowrun_api.contract import ClusterContract
from prefect_flowrun.runner.dashboard_notice import tell

POD = {"FLOWRUN_NAME": "etl", "FLOWRUN_NAMESPACE": "data"}


@pytest.mark.parametrize(
    ("engine", "dashboard", "env", "said"),
    [
        ("Dask", True, POD, ["Dask dashboard of cluster 'gpu': flowrun dashboard etl gpu --namespace data"]),
        ("Dask", True, {"FLOWRUN_LISTEN": "127.0.0.1"}, ["Dask dashboard of cluster 'gpu': http://127.0.0.1:1/status"]),
        ("Ray", True, {"FLOWRUN_LISTEN": "127.0.0.1"}, ["Ray dashboard of cluster 'gpu': http://127.0.0.1:1"]),
        ("Ray", False, POD, []),
    ],
)
def test_who_follows_the_flow_run_is_told_how_to_reach_it(
    engine: str, dashboard: bool, env: dict[str, str], said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    cluster = ClusterContract(name="gpu", engine=engine, address="x", port=2, http_port=1, dashboard=dashboard)
    with caplog.at_level(logging.INFO):
        tell(cluster, logging.getLogger("flow run"), env)
    assert [record.getMessage() for record in caplog.records] == said
