"""Flows that use Ray themselves, in a run with a real head and worker."""

from __future__ import annotations

import pytest
from loopback_clusters import ray_cluster, start_ray_worker


@pytest.mark.timeout(660)  # many short flows, for one driver
def test_ray_init_joins_the_runs_cluster_wherever_it_stands(ray_drive, prefect_server):
    driven = ray_drive("main", file="ray_native.py")
    result = driven.finish(timeout=600)
    assert (result["type"], result["reason"]) == ("COMPLETED", "FlowCompleted"), (result, driven.output)
    assert "left out, since it runs already: num_cpus" in driven.output
    assert "remote_options(max_retries=...) is left out" in driven.output
    assert "left out: num_cpus. Tasks run on a Ray cluster of the FlowRun" in driven.output
    assert driven.output.count("remote_options(max_retries=...)") == 1


def test_ray_init_starts_a_cluster_on_demand_and_ray_shutdown_lets_it_go(ray_drive, tmp_path):
    contract = ray_cluster("burst", activation="OnDemand", idleSeconds=1)
    driven = ray_drive("on_demand", None, contract, file="ray_native.py")
    worker = start_ray_worker(contract, tmp_path)  # as the operator would by the scale
    driven.workers.append(worker)
    assert driven.finish()["type"] == "COMPLETED", driven.output
    assert "Starting cluster 'burst' on demand" in driven.output
