"""The Dask engine on a real scheduler in this process, with workers or without: what is lost, cancelled or gone."""

from __future__ import annotations

import concurrent.futures
import threading
import uuid
from types import SimpleNamespace

import distributed
import pytest
from distributed.scheduler import KilledWorker
from prefect.states import Completed
from stand_in import until

from prefect_flowrun.engines.base import Call
from prefect_flowrun.engines.dask import entry, names
from prefect_flowrun.engines.dask.engine import DaskEngine
from prefect_flowrun.engines.needs import Needs
from prefect_flowrun.wire.outcomes import pack

WAIT_S = 120
LARGE = b"l" * (9 * 2**20)


def call(payload=b"", **options):
    return Call(f"test-{uuid.uuid4()}", payload, **options)


# Cancelled, and gone


def test_waiting_ends_when_somebody_else_cancels(engine):
    future = engine.submit(call())
    threading.Timer(0.2, engine.client.cancel, args=[future.future], kwargs={"force": True}).start()
    assert future.wait(WAIT_S)
    assert isinstance(future.failure(), concurrent.futures.CancelledError)
    assert "cancelled on the Dask cluster" in engine.describe_loss(future.failure())


def test_the_size_of_what_the_scheduler_has_forgotten_is_not_known(engine):
    there, forgotten = (engine.submit(call()) for _ in range(2))
    engine._client.sync(
        engine._client.scheduler.cancel, keys=[forgotten.future.key], client=engine._client.id, force=True
    )
    assert engine.sizes([there, forgotten]) == [None, None]


def test_what_was_cancelled_keeps_nobody_from_waiting_for_the_others(engine):
    cancelled, other = engine.submit(call()), engine.submit(call())
    engine.cancel([cancelled])
    assert engine.wait([cancelled, other], timeout=0.5) == 1
    assert cancelled.done()


def test_waiting_ends_when_the_scheduler_has_gone(engine, cluster):
    future = engine.submit(call())
    ended = []
    waiting = threading.Thread(target=lambda: ended.append(engine.wait([future], None)))
    waiting.start()
    cluster.sync(cluster.scheduler.close)
    waiting.join(WAIT_S)
    assert ended == [0]
    assert isinstance(future.failure(), concurrent.futures.CancelledError)


def test_a_client_that_was_closed_is_said_in_words_and_nothing_else_fails(engine):
    future = engine.submit(call())
    engine.client.close()
    for attempt in (lambda: engine.submit(call()), lambda: engine.put(LARGE)):
        with pytest.raises(ConnectionError, match="The Dask scheduler did not take"):
            attempt()
    assert future.wait(WAIT_S)
    engine.cancel([future])
    engine.drain(0.1)
    assert engine.versions(0.1) == {}
    assert engine.wait_for_workers(1, 0.1) == 0
    engine.close()


# Parcels


def test_bytes_are_on_the_cluster_before_there_is_a_worker_and_outlive_every_worker(engine, cluster):
    parcel = engine.put(LARGE)
    for _ in range(2):
        cluster.scale(1)
        opened = engine.client.submit(lambda name: entry._open(distributed.get_worker(), name), parcel.name, pure=False)
        assert opened.result(WAIT_S) == LARGE
        cluster.scale(0)
        until(lambda: not cluster.scheduler.workers)


def test_bytes_that_nobody_holds_are_dropped(engine, cluster):
    plugin = cluster.scheduler.plugins[names.NAME]
    parcel = engine.put(b"some")
    assert list(plugin._parcels) == [parcel.name]
    del parcel
    assert until(lambda: not plugin._parcels)


def test_bytes_of_a_client_that_went_without_a_farewell_are_dropped(engine, cluster):
    plugin = cluster.scheduler.plugins[names.NAME]
    other = DaskEngine(distributed.Client(cluster, set_as_default=False))
    held = other.put(b"some")
    kept = engine.put(b"more")
    other.client.close()
    assert len(plugin._parcels) == 1 or until(lambda: len(plugin._parcels) == 1)
    assert list(plugin._parcels) == [kept.name]
    assert not other.holds(held)
    assert engine.holds(kept)


def test_bytes_that_are_gone_are_said_in_words(engine, cluster):
    cluster.scale(1)
    opened = engine.client.submit(lambda: entry._open(distributed.get_worker(), "nowhere"), pure=False)
    with pytest.raises(LookupError, match="no longer on the cluster"):
        opened.result(WAIT_S)


# Lost with a worker


@pytest.mark.parametrize(("payload", "lost"), [(b"little", 0), (LARGE, 1)], ids=["little", "much"])
def test_a_task_that_never_began_is_forgiven_for_a_lost_worker_unless_it_brings_much(engine, cluster, payload, lost):
    cluster.scale(1)
    assert until(lambda: cluster.scheduler.workers)
    [address] = cluster.scheduler.workers
    gate = distributed.Event("gate", client=engine.client)
    busy = engine.client.submit(lambda: distributed.Event("gate").wait(WAIT_S), pure=False, resources={"CPU": 1})
    future = engine.submit(call(payload, needs=Needs(num_cpus=1)))
    key = future.future.key
    assert until(lambda: key in cluster.scheduler.tasks and cluster.scheduler.tasks[key].processing_on)
    assert busy.status == "pending"
    cluster.sync(cluster.scheduler.remove_worker, address=address, stimulus_id="test")
    gate.set()
    assert cluster.scheduler.tasks[key].suspicious == lost


# What comes with the news of an end


def test_a_small_outcome_comes_unasked_whether_or_not_the_start_was_told_first(engine, cluster):
    future, other = engine.submit(call()), engine.submit(call())
    finish = cluster.scheduler.stream_handlers[names.FINISH]
    for each in (future, other):
        until(lambda key=each.key: key in cluster.scheduler.tasks)
    outcome = pack(Completed(data=3), share_memory=True).small(2**14)
    cluster.sync(_call, finish, key=future.key, outcome=outcome, brief=None, worker="tcp://10.0.0.1:1")
    until(lambda: future.small_outcome is not None)
    assert future.result().data == 3
    assert other.small_outcome is None


async def _call(function, **arguments):
    function(**arguments)


# In words


def test_workers_that_end_while_they_receive_a_task_point_at_its_size(engine):
    error = KilledWorker("a task", SimpleNamespace(address="tcp://10.0.0.1:1"), 5)
    said = engine.describe_loss(error)
    assert "too large for their memory" in said
    assert "a task" in said
