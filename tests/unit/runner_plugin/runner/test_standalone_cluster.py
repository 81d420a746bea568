"""Where a runner finds a standalone TaskCluster."""

from __future__ import annotations

import pytest

from flowrun_api.environment import TASKCLUSTER_ADDRESS
from prefect_flowrun.runner.options import EngineChoice, RunnerOptions
from prefect_flowrun.runner.placement import OnTaskCluster, choose
from prefect_flowrun.runner.standalone_cluster import NotReachableError, contract

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


@pytest.mark.parametrize(
    ("engine", "address", "env", "expected"),
    [
        pytest.param("Dask", None, POD, "tcp://mine:8786", id="its Service, from a pod"),
        pytest.param("Ray", None, POD, "mine:6379", id="a Ray head's Service"),
        pytest.param("Dask", None, {TASKCLUSTER_ADDRESS: "127.0.0.1:9000"}, "tcp://127.0.0.1:9000", id="forwarded"),
        pytest.param("Dask", "tcp://host:1", {**POD, TASKCLUSTER_ADDRESS: "x:2"}, "tcp://host:1", id="the option wins"),
    ],
)
def test_the_address_is_the_options_the_environments_or_the_services(engine, address, env, expected):
    found = contract("taskcluster/mine", engine, address, env)
    assert (found.name, found.engine, found.address) == ("taskcluster/mine", engine, expected)


@pytest.mark.parametrize(
    ("engine", "address", "words"),
    [
        ("Dask", None, r"kubectl port-forward service/mine 8786.*FLOWRUN_TASKCLUSTER_ADDRESS=127.0.0.1:8786"),
        ("Dask", "somewhere", "'somewhere'; it should be HOST:PORT"),
        ("Ray", "127.0.0.1:6379", "only be used from a pod"),
    ],
)
def test_from_outside_the_error_says_what_to_do(engine, address, words):
    with pytest.raises(NotReachableError, match=words):
        contract("taskcluster/mine", engine, address, {})


@pytest.mark.parametrize("clusters", [None, ()], ids=["laptop", "in a FlowRun"])
def test_the_name_says_that_it_is_a_standalone_cluster(clusters):
    options = RunnerOptions(cluster="taskcluster/mine", engine=EngineChoice.RAY)
    assert choose(options, None, clusters) == OnTaskCluster("taskcluster/mine", EngineChoice.RAY)
