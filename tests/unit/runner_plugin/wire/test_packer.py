"""What travels to a worker, and what the worker makes of it."""

from __future__ import annotations

import gc
import threading
import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from prefect import allow_failure, task
from prefect.futures import PrefectConcurrentFuture
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Failed
from prefect.utilities.annotations import quote
from stand_in import StandInEngine, StandInFuture, StandInStart, delivery

from prefect_flowrun import ClusterFuture
from prefect_flowrun.runner.futures import on_cluster
from prefect_flowrun.wire import versions
from prefect_flowrun.wire.context import Contexts
from prefect_flowrun.wire.envelope import Envelope
from prefect_flowrun.wire.packer import LARGE_BYTES, Packer
from prefect_flowrun.wire.resolved_futures import ArrivedFuture
from prefect_flowrun.wire.shared_blobs import Shelf
from prefect_flowrun.worker import garbage, run_task


@dataclass
class Pair:
    left: Any
    right: Any


@task
def add(left, right):
    return left + right


@task
async def add_async(left, right):
    return left + right


@task
def same(value):
    return value


@task
def size(value):
    return len(value)


@task
def inside(value):
    """Look into something that Prefect does not look into."""
    future = value.unwrap() if isinstance(value, quote) else value
    return type(future).__name__


@pytest.fixture
def engine():
    return StandInEngine()


@pytest.fixture
def packer(engine):
    return Packer(
        on_cluster=partial(on_cluster, engine),
        shelf=Shelf(engine.put),
        versions=versions.collect(engine.package),
        lost_task_retries=None,
        contexts=Contexts(with_secrets=False),
    )


@pytest.fixture
def api(prefect_server):
    with temporary_settings({PREFECT_API_URL: prefect_server.url}):
        yield prefect_server


def pack(packer, which, wait_for=None, **parameters):
    return packer.pack(which, uuid.uuid4(), parameters, wait_for, None)


def unpacked(packed, *states):
    """The arguments of the call, as they are on the worker."""
    envelope = Envelope.from_bytes(packed.payload)
    return run_task._Opened(delivery(packed.payload, states), envelope).call()


def run(engine, packed, *states, start=None):
    def open_parcel(index):
        return engine.parcels[packed.parcels[index].number]

    return run_task.run(delivery(packed.payload, states, open_parcel, start), engine.package).outcome


def cluster_future(engine):
    return ClusterFuture(uuid.uuid4(), StandInFuture(), engine)


# Futures


def test_futures_become_futures_that_have_ended_wherever_they_stand_and_each_travels_once(packer, engine):
    first, second = cluster_future(engine), cluster_future(engine)
    packed = pack(
        packer, same, a=first, b=[second, {"c": first}], d=allow_failure(second), e=Pair(first, 1), f=quote(second)
    )
    assert packed.upstream == [first.wrapped_future, second.wrapped_future]
    states = (Completed(data=1), Completed(data=2))
    arrived = unpacked(packed, *states)["parameters"]
    assert [arrived["a"].state, arrived["b"][1]["c"].state, arrived["e"].left.state] == [states[0]] * 3
    assert [arrived["b"][0].state, arrived["d"].unwrap().state, arrived["f"].unwrap().state] == [states[1]] * 3
    assert arrived["a"].task_run_id == first.task_run_id
    assert arrived["e"].right == 1


@pytest.mark.parametrize("shape", [lambda f: f, lambda f: [f], lambda f: (f,), lambda f: (each for each in [f])])
def test_wait_for_may_be_one_future_or_many(packer, engine, shape):
    future = cluster_future(engine)
    packed = pack(packer, same, value=1, wait_for=shape(future))
    assert packed.upstream == [future.wrapped_future]
    arrived = unpacked(packed, Completed())["wait_for"]
    [arrived] = [arrived] if isinstance(arrived, ArrivedFuture) else arrived
    assert arrived.task_run_id == future.task_run_id


def test_what_is_both_a_parameter_and_waited_for_travels_once(packer, engine):
    future = cluster_future(engine)
    assert pack(packer, same, value=future, wait_for=[future]).upstream == [future.wrapped_future]


def test_a_future_of_another_runner_is_waited_for_and_travels_with_its_state(packer):
    inner = StandInFuture()
    threads = PrefectConcurrentFuture(uuid.uuid4(), inner.inner)
    elsewhere = cluster_future(StandInEngine())
    threading.Timer(0.05, inner.inner.set_result, args=[Completed(data=3)]).start()
    threading.Timer(0.1, elsewhere.wrapped_future.inner.set_result, args=[Completed(data=4)]).start()
    packed = pack(packer, same, value=[threads, elsewhere])
    assert packed.upstream == []
    arrived = unpacked(packed)["parameters"]["value"]
    assert [type(future) for future in arrived] == [ArrivedFuture] * 2
    assert [future.result() for future in arrived] == [3, 4]
    assert [future.task_run_id for future in arrived] == [threads.task_run_id, elsewhere.task_run_id]


def test_a_future_that_has_arrived_on_a_worker_travels_on_to_another(packer):
    arrived = ArrivedFuture(uuid.uuid4(), Completed(data=5))
    assert unpacked(pack(packer, same, value=arrived))["parameters"]["value"].result() == 5


# On the worker


@pytest.mark.parametrize("which", [add, add_async], ids=["sync", "async"])
def test_a_payload_runs_through_prefects_engine_with_the_id_it_was_given(api, packer, engine, which):
    upstream, task_run_id = cluster_future(engine), uuid.uuid4()
    packed = packer.pack(which, task_run_id, {"left": upstream, "right": 2}, None, None)
    state = run(engine, packed, Completed(data=1))
    assert state.is_completed()
    assert state.result() == 3
    assert state.state_details.task_run_id == task_run_id


def test_what_is_quoted_is_left_alone(api, packer, engine):
    packed = pack(packer, inside, value=quote([cluster_future(engine)]))
    assert run(engine, packed, Completed(data=1)).result() == "list"
    rows = [1, 2, 3]
    assert run(engine, pack(packer, same, value=quote(rows))).result() == rows


def test_a_failed_upstream_keeps_a_task_from_running_unless_it_is_allowed(api, packer, engine):
    failed = Failed(data=ValueError("no"))
    state = run(engine, pack(packer, same, value=cluster_future(engine)), failed)
    assert state.name == "NotReady"
    state = run(engine, pack(packer, inside, value=allow_failure(cluster_future(engine))), failed)
    assert state.result() == "ValueError"


def test_a_task_that_had_ended_on_a_lost_worker_is_not_run_again(api, packer, engine):
    before = Completed(data="as it was")
    start = StandInStart(number=2, outcome=before)
    assert run(engine, pack(packer, same, value=1), start=start) is before


@pytest.mark.parametrize(
    ("of_the_task", "of_the_runner", "allowed"), [(0, None, 0), (2, None, 2), (5, 0, 0), (0, 1, 1), (5, 1, 1)]
)
def test_the_runners_word_on_lost_tasks_counts_before_the_tasks_own_retries(
    packer, of_the_task, of_the_runner, allowed
):
    packer.lost_task_retries = of_the_runner
    packed = pack(packer, same.with_options(retries=of_the_task), value=1)
    assert packed.lost_task_retries == allowed
    assert Envelope.from_bytes(packed.payload).lost_task_retries == allowed


def test_a_task_that_may_not_start_again_is_crashed_and_nothing_of_it_is_unpickled(packer, engine):
    task_run_id = uuid.uuid4()
    packed = packer.pack(same.with_options(retries=1), task_run_id, {"value": 1}, None, None)
    ended = run_task.run(delivery(unreadable(packed), start=StandInStart(number=3)), engine.package)
    assert ended.outcome.is_crashed()
    assert ended.outcome.state_details.task_run_id == task_run_id
    assert "(2 times, 1 re-runs allowed)" in ended.given_up == ended.outcome.message


def unreadable(packed):
    """A payload whose blobs can't be unpickled."""
    envelope = Envelope.from_bytes(packed.payload)
    blobs = [(digest, b"nothing that could be unpickled") for digest, _ in envelope.blobs]
    return Envelope(**{**vars(envelope), "blobs": blobs}).to_bytes()


def test_a_worker_that_does_not_fit_is_refused_before_anything_is_unpickled(engine, packer):
    packer.versions = {**packer.versions, "python": "2.7.18"}
    packed = pack(packer, same, value=1)
    with pytest.raises(versions.VersionMismatchError, match=r"worker-0.*python 2\.7\.18 in the driver"):
        run_task.run(delivery(unreadable(packed)), engine.package)


def test_the_garbage_collector_passes_over_what_a_worker_has_imported(api, engine, packer):
    garbage.pass_over_imports.cache_clear()
    gc.unfreeze()
    for _ in range(2):
        assert run(engine, pack(packer, same, value=1)).result() == 1
        assert gc.get_freeze_count() > 10_000
    gc.unfreeze()


# By reference


def test_context_and_task_travel_along_once_and_by_reference_from_then_on(packer, engine):
    first, second, third = (pack(packer, add, left=1, right=2) for _ in range(3))
    assert (first.parcels, len(engine.parcels)) == ([], 2)
    assert second.parcels == third.parcels
    assert len(second.payload) < len(first.payload) / 2


def test_a_large_parameter_reaches_the_cluster_once_whoever_uses_it(api, packer, engine):
    data = b"d" * (2 * LARGE_BYTES)
    packed = [pack(packer, size, value=data), pack(packer, size, value=data), pack(packer, same, value=data)]
    assert [engine.parcels.count(each) for each in engine.parcels if len(each) > LARGE_BYTES] == [1]
    assert len(packed[0].payload) > LARGE_BYTES > max(len(each.payload) for each in packed[1:])
    assert [run(engine, each).result() for each in packed[:2]] == [len(data)] * 2
    assert run(engine, packed[2]).result() == data


def test_a_large_list_that_was_changed_in_between_is_another_one(api, packer, engine):
    rows = [0] * LARGE_BYTES
    results = []
    for number in range(3):
        rows[0] = number
        results.append(run(engine, pack(packer, same, value=rows)).result()[0])
    assert results == [0, 1, 2]


def test_a_task_may_change_a_large_parameter_without_others_seeing_it(api, packer, engine):
    @task
    def grow(rows):
        rows.append(1)
        return len(rows)

    rows = [0] * LARGE_BYTES
    packed = [pack(packer, grow, rows=rows) for _ in range(3)]
    assert [run(engine, each).result() for each in packed] == [LARGE_BYTES + 1] * 3


def test_a_future_among_large_data_still_travels_as_a_future(packer, engine):
    future = cluster_future(engine)
    packed = pack(packer, same, value=[future, b"d" * (2 * LARGE_BYTES)], other=b"o" * (2 * LARGE_BYTES))
    assert packed.upstream == [future.wrapped_future]
    arrived = unpacked(packed, Completed(data=1))["parameters"]
    assert arrived["value"][0].result() == 1
    assert arrived["other"] == b"o" * (2 * LARGE_BYTES)
