"""What workers tell the scheduler of our tasks, on a real scheduler and worker in this process."""

from __future__ import annotations

import uuid

import dask
import distributed
import pytest
from stand_in import until

from prefect_flowrun.engines.base import Call
from prefect_flowrun.engines.dask import names
from prefect_flowrun.engines.dask.engine import DaskEngine
from prefect_flowrun.engines.dask.settings import SCHEDULER_CONFIG

WAIT_S = 120


@pytest.fixture
def cluster():
    with (
        dask.config.set(SCHEDULER_CONFIG),
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None, threads_per_worker=1) as started,
    ):
        yield started


@pytest.fixture
def engine(cluster):
    engine = DaskEngine(distributed.Client(cluster, set_as_default=False))
    yield engine
    engine.close()


def memory_of(cluster):
    return cluster.scheduler.plugins[names.NAME]


def plugin_of(cluster):
    (worker,) = cluster.workers.values()
    return worker.plugins[names.NAME]


def test_the_start_of_a_task_is_told_though_its_payload_can_not_be_read(engine, cluster):
    future = engine.submit(Call(f"broken-{uuid.uuid4()}", b"no payload"))
    assert future.wait(WAIT_S)
    assert future.failure() is not None
    assert until(lambda: memory_of(cluster)._starts.get(future.key)) == 1
    assert not plugin_of(cluster)._starts


def test_tasks_of_others_are_none_of_our_business(engine, cluster):
    assert engine.client.submit(sum, [1, 2]).result(timeout=WAIT_S) == 3
    assert not memory_of(cluster)._starts
    assert not plugin_of(cluster)._starts


def test_a_worker_that_was_there_before_us_and_one_that_comes_later_have_it(engine, cluster):
    cluster.scale(2)
    until(lambda: len(cluster.workers) == 2 and all(names.NAME in each.plugins for each in cluster.workers.values()))


def test_a_second_client_leaves_what_is_under_way_alone(engine, cluster):
    plugin = plugin_of(cluster)
    other = DaskEngine(distributed.Client(cluster, set_as_default=False))
    other.close()
    assert plugin_of(cluster) is plugin
