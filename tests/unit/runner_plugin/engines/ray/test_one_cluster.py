"""Ray allows one connection per process: which cluster it leads to, and which one is refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import ray

from prefect_flowrun.engines.ray import connection
from prefect_flowrun.engines.ray.connection import refuse_other_cluster


@pytest.fixture
def connected(monkeypatch):
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address="10.244.0.5:6379"))

    def by(name):
        monkeypatch.setattr(connection, "joined", name)

    return by


@pytest.mark.parametrize("name", ["default", "taskcluster/b"])
def test_another_cluster_with_the_same_port_is_refused(connected, name):
    connected("taskcluster/a")
    with pytest.raises(RuntimeError, match="Ray allows one at a time"):
        refuse_other_cluster(name, 6379)


def test_the_cluster_that_was_joined_is_used_again(connected):
    connected("taskcluster/a")
    refuse_other_cluster("taskcluster/a", 6379)


def test_of_a_connection_of_the_flows_own_the_port_is_compared(connected):
    connected(None)
    refuse_other_cluster("default", 6379)
    with pytest.raises(RuntimeError, match=r"connected to the Ray cluster at 10\.244\.0\.5:6379"):
        refuse_other_cluster("default", 6389)
