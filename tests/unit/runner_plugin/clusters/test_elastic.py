"""Elastic workers and clusters on demand, on real Dask; the API server is the only stand-in."""

from __future__ import annotations

import logging
import time

import distributed
import httpx
import pytest
from distributed import LocalCluster
from loopback_clusters import KubeApi

from flowrun_api.contract import Activation, ClusterContract
from prefect_flowrun.clusters.elastic import Elastic
from prefect_flowrun.clusters.kubernetes import TaskClusters
from prefect_flowrun.clusters.lifecycle import ClusterStartupError, Lifecycle
from prefect_flowrun.clusters.retire import retire_idle
from prefect_flowrun.engines.dask.engine import DaskEngine

logger = logging.getLogger("flow")


@pytest.fixture(scope="module")
def scheduler():
    """A scheduler without workers."""
    with LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture
def engine(scheduler):
    scheduler.scale(0)
    engine = DaskEngine(distributed.Client(scheduler, set_as_default=False))
    yield engine
    engine.close()


@pytest.fixture
def api():
    server = KubeApi()
    yield server
    server.close()


@pytest.fixture
def clusters(api):
    return TaskClusters(httpx.Client(base_url=api.url), "team", lambda: "the-token")


def contract(**changes):
    values = {"name": "gpu", "engine": "Dask", "address": "tcp://127.0.0.1:1", "port": 1, "http_port": 2}
    bounds = {"workers": 1, "min_workers": 1, "max_workers": 4, "elastic": True, "idle_seconds": 10}
    return ClusterContract(**{**values, **bounds, "task_cluster": "run-1-gpu", **changes})


def add_workers(scheduler, engine, count):
    there = len(scheduler.workers)
    scheduler.scale(there + count)
    assert engine.wait_for_workers(there + count, 60) == there + count


def eventually(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_workers_follow_the_tasks_up_at_once_and_down_after_a_while_within_the_bounds(engine, api, clusters):
    elastic = Elastic(contract(), engine, clusters, 1)
    for outstanding, now in [(0, 0), (3, 1), (9, 2), (0, 3), (0, 11.9), (0, 12.1)]:
        elastic.adapt(outstanding, now)
    # None has joined: all are pending, so the operator may remove them without a word to Dask.
    assert api.scaled == [("run-1-gpu", 3), ("run-1-gpu", 4), ("run-1-gpu", 1)]


def test_what_a_runner_asks_for_is_kept_without_tasks_and_never_above_the_bounds(engine, api, clusters):
    elastic = Elastic(contract(), engine, clusters, 1)
    elastic.at_least(9)
    elastic.adapt(0, 0)
    elastic.at_least(0)
    elastic.adapt(0, 20)
    assert api.scaled == [("run-1-gpu", 4), ("run-1-gpu", 1)]


def test_only_idle_workers_retire(scheduler, engine):
    add_workers(scheduler, engine, 3)
    release = distributed.Event("release", client=engine.client)
    busy = engine.client.submit(lambda: distributed.Event("release").wait(60), pure=False)
    eventually(lambda: any(engine.client.processing().values()))
    assert retire_idle(engine, 3, 0) == 2
    assert engine.wait_for_workers(1, 0) == 1
    release.set()
    assert busy.result(60)


def test_results_survive_the_workers_that_retire(scheduler, engine):
    add_workers(scheduler, engine, 2)
    futures = engine.client.map(lambda n: n * 10, range(8), pure=False)
    engine.client.gather(futures)  # so all have ended
    retire_idle(engine, 1, 0)
    eventually(lambda: engine.wait_for_workers(1, 0) == 1)
    assert engine.client.gather(futures) == [n * 10 for n in range(8)]


class Starter:
    def __init__(self):
        self.calls = []

    def start_one(self, cluster):
        self.calls.append(("start", cluster.name))

    def stop_one(self, name):
        self.calls.append(("stop", name))


def test_a_cluster_on_demand_is_scaled_up_waited_for_and_released(scheduler, engine, api, clusters, caplog):
    caplog.set_level(logging.INFO, "flow")
    api.on_scale = lambda _, replicas: scheduler.scale(replicas)
    starter, cluster = Starter(), contract(activation=Activation.ON_DEMAND, elastic=False)
    lifecycle = Lifecycle(starter, clusters)
    assert lifecycle.bring_up(cluster, 2, lambda: engine, logger) is engine
    assert engine.wait_for_workers(2, 60) == 2
    lifecycle.take_down(cluster)
    assert api.scaled == [("run-1-gpu", 2), ("run-1-gpu", 0)]
    assert starter.calls == [("start", "gpu"), ("stop", "gpu")]
    assert "Starting cluster 'gpu' on demand: Dask, 2 worker(s)" in caplog.text


def test_a_cluster_on_demand_without_workers_fails_with_the_operators_reason_and_is_released(engine, api, clusters):
    api.conditions.append({"type": "Ready", "status": "False", "reason": "QuotaExceeded", "message": "pods: 10 of 10"})
    starter = Starter()
    cluster = contract(activation=Activation.ON_DEMAND, startup_timeout_seconds=3)
    with pytest.raises(ClusterStartupError, match=r"No worker of cluster 'gpu' .* 3 s\. QuotaExceeded: pods: 10 of 10"):
        Lifecycle(starter, clusters).bring_up(cluster, None, lambda: engine, logger)
    assert api.scaled == [("run-1-gpu", 1), ("run-1-gpu", 0)]
    assert starter.calls[-1] == ("stop", "gpu")


def test_a_refused_scale_is_a_cluster_that_did_not_start(engine, api, clusters):
    api.refusals.append((422, "no more than 2 replicas"))
    with pytest.raises(ClusterStartupError, match="no more than 2 replicas"):
        Lifecycle(Starter(), clusters).bring_up(contract(activation=Activation.ON_DEMAND), None, lambda: engine, logger)
