"""Which cluster `ray.init()` of a flow joins, and what it can't be told."""

from __future__ import annotations

import pytest

from flowrun_api.contract import ClusterContract
from prefect_flowrun.engines.ray import calls
from prefect_flowrun.runner import ray_calls


def cluster(name, engine="Ray", activation="OnStart"):
    return ClusterContract(
        name=name, engine=engine, activation=activation, address=f"{name}:1", port=1, http_port=2, workers=1
    )


@pytest.fixture
def routed(monkeypatch):
    found = []
    monkeypatch.setattr(calls, "route_when_imported", found.append)
    return found


@pytest.mark.parametrize(
    ("clusters", "env", "joined", "address"),
    [
        ([], {}, None, None),
        ([cluster("d", "Dask")], {}, None, None),
        ([cluster("d", "Dask"), cluster("r")], {}, "r:1", "r:1"),
        ([cluster("r")], {"RAY_ADDRESS": "auto"}, "r:1", "r:1"),
        ([cluster("r")], {"RAY_ADDRESS": "elsewhere:6379"}, None, "elsewhere:6379"),
        ([cluster("late", activation="OnDemand"), cluster("r")], {}, "r:1", "r:1"),
        ([cluster("late", activation="OnDemand")], {}, "late:1", None),
    ],
    ids=[
        "no cluster",
        "Dask only",
        "the first with Ray",
        "auto is this one",
        "the user names another",
        "on start goes before on demand",
        "on demand has no address yet",
    ],
)
def test_the_cluster_that_is_joined(routed, clusters, env, joined, address):
    ray_calls.install(clusters, env)
    assert [found.is_ours(joined) for found in routed] == ([True] if joined else [])
    assert env.get("RAY_ADDRESS") == address


def test_what_a_running_cluster_cannot_be_told():
    options = {
        "num_cpus": 4,
        "object_store_memory": 10**9,
        "resources": None,
        "local_mode": False,
        "runtime_env": {},
        "namespace": "mine",
        "ignore_reinit_error": True,
        "include_dashboard": True,
        "_temp_dir": "/tmp/ray",
    }
    assert ray_calls.left_out(options) == ["_temp_dir", "num_cpus", "object_store_memory"]
