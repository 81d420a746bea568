"""What travels: futures out, states in."""

from __future__ import annotations

import concurrent.futures
import uuid

import cloudpickle
import pytest
from prefect import allow_failure, task
from prefect.futures import PrefectConcurrentFuture
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed
from prefect.utilities.annotations import quote

from prefect_flowrun import ClusterFuture, payload


class FakeEngine:
    name = "Fake"
    startup_failure = None


ENGINE = FakeEngine()


def cluster_future(engine=ENGINE):
    return ClusterFuture(uuid.uuid4(), concurrent.futures.Future(), engine)


def test_futures_become_placeholders_wherever_they_stand_and_each_travels_once():
    first, second = cluster_future(), cluster_future()
    upstream = payload.Upstream(ENGINE)
    replaced = upstream.replace({"a": first, "b": [second, {"c": first}], "d": allow_failure(second), "e": 1})
    assert upstream.futures == [first.wrapped_future, second.wrapped_future]
    states = (Completed(data=1), Completed(data=2))
    restored = payload.restore(replaced, states)
    assert restored["a"] is states[0]
    assert restored["b"] == [states[1], {"c": states[0]}]
    assert restored["d"].unwrap() is states[1]
    assert restored["e"] == 1


def test_wait_for_may_be_one_future_or_many():
    future = cluster_future()
    upstream = payload.Upstream(ENGINE)
    assert upstream.replace(future) == payload.Placeholder(0)
    assert upstream.replace([future, cluster_future()]) == [payload.Placeholder(0), payload.Placeholder(1)]


def test_a_future_of_another_runner_is_waited_for_and_its_state_travels():
    done = concurrent.futures.Future()
    done.set_result(Completed(data=3))
    upstream = payload.Upstream(ENGINE)
    assert upstream.replace([PrefectConcurrentFuture(uuid.uuid4(), done)]) == [done.result()]
    foreign = cluster_future(engine=FakeEngine())
    foreign.wrapped_future.set_result(Completed(data=4))
    assert upstream.replace(foreign) is foreign.wrapped_future.result()
    assert upstream.futures == []


def test_what_is_quoted_is_left_alone():
    data = quote([1, 2, 3])
    assert payload.Upstream(ENGINE).replace({"a": data})["a"] is data


@task
def add(left, right):
    return left + right


@task
async def add_async(left, right):
    return left + right


@pytest.mark.parametrize("which", [add, add_async], ids=["sync", "async"])
def test_a_payload_runs_through_prefects_engine_with_the_id_it_was_given(prefect_server, which):
    with temporary_settings({PREFECT_API_URL: prefect_server.url}):
        upstream, task_run_id = cluster_future(), uuid.uuid4()
        packed, futures = payload.pack(ENGINE, which, task_run_id, {"left": upstream, "right": 2}, None, None)
        assert futures == [upstream.wrapped_future]
        state = payload.run(packed, Completed(data=1))
    assert state.is_completed()
    assert state.result() == 3
    assert state.state_details.task_run_id == task_run_id


def test_the_inputs_of_a_task_run_are_collected_where_the_futures_are_known():
    future = cluster_future()
    packed, _ = payload.pack(ENGINE, add, uuid.uuid4(), {"left": [future], "right": 2}, None, None)
    call = cloudpickle.loads(packed)
    assert {found.id for found in call["dependencies"]["left"]} == {future.task_run_id}
    assert call["dependencies"]["right"] == set()
