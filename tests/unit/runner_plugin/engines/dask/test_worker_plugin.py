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
DEATHS = 8
# Replaces what runs a task: writes down which start this is, and ends the process at the first.
DEADLY = """
import os
import distributed
from prefect_flowrun.engines.dask import entry

def run_task(key, payload, *_):
    number = entry.DaskStart(distributed.get_worker(), key).number
    with open(payload.decode(), "a") as starts:
        starts.write(f"{number} ")
    if number == 1:
        os._exit(1)

run_task.__module__ = entry.__name__
entry.run_task = run_task
"""


@pytest.fixture
def workers():
    return 1


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


def test_a_start_is_told_before_the_task_can_end_the_process(tmp_path):
    (tmp_path / "deadly.py").write_text(DEADLY)
    with (
        dask.config.set(SCHEDULER_CONFIG),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=None, preload=str(tmp_path / "deadly.py")
        ) as started,
    ):
        engine = DaskEngine(distributed.Client(started, set_as_default=False))
        for number in range(DEATHS):
            starts = tmp_path / f"starts-{number}"
            assert engine.submit(Call(f"deadly-{number}", str(starts).encode())).wait(WAIT_S)
            assert starts.read_text() == "1 2 "
        engine.close()


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
