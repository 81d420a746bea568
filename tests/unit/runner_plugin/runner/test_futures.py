"""The future that `.submit` returns, over futures of concurrent.futures in place of an engine's."""

from __future__ import annotations

import pickle
import threading
import uuid

import pytest
from prefect.client.schemas.objects import State
from prefect.exceptions import CrashedRun
from prefect.futures import as_completed, wait
from prefect.states import Completed, Failed
from stand_in import StandInEngine, StandInFuture, until

from prefect_flowrun import ClusterFuture
from prefect_flowrun.wire.resolved_futures import ArrivedFuture, upstream_future, upstream_states

ENGINE = StandInEngine()


@pytest.fixture
def inner():
    return StandInFuture()


@pytest.fixture
def future(inner):
    return ClusterFuture(uuid.uuid4(), inner, ENGINE)


def test_wait_returns_without_an_error_when_the_time_is_up(future):
    future.wait(timeout=0.01)


def test_result_raises_a_time_out_when_the_time_is_up(future):
    with pytest.raises(TimeoutError, match=str(future.task_run_id)):
        future.result(timeout=0.01)


def test_the_final_state_becomes_the_state_and_its_data_the_result(future, inner):
    state = Completed(data=5)
    inner.inner.set_result(state)
    assert future.result() == 5
    assert future.state is state


def test_waiting_moves_no_data(future, inner, monkeypatch):
    monkeypatch.setattr(inner, "result", lambda: pytest.fail("the state was fetched"))
    threading.Timer(0.05, inner.inner.set_result, args=[Completed(data=5)]).start()
    seen = []
    future.add_done_callback(seen.append)
    future.wait()
    assert until(lambda: seen == [future])  # callbacks come after those who wait
    assert [future] == list(as_completed([future])) == list(wait([future]).done)


def test_the_state_is_fetched_once_though_threads_ask_at_the_same_time(future, inner):
    states = [Completed(data=number) for number in range(4)]
    inner.inner.set_result(None)
    inner.result = states.pop
    seen: list[State] = []
    threads = [threading.Thread(target=lambda: seen.append(future.state)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(states) == 3
    assert all(state is seen[0] for state in seen)


def test_a_failed_task_raises_its_exception_or_returns_it(future, inner):
    inner.inner.set_result(Failed(data=ValueError("no")))
    with pytest.raises(ValueError, match="no"):
        future.result()
    assert isinstance(future.result(raise_on_failure=False), ValueError)


def test_a_task_that_the_cluster_lost_is_crashed_and_says_why(future, inner):
    inner.inner.set_exception(RuntimeError("worker gone"))
    future.wait()
    assert future.state.is_crashed()
    with pytest.raises(CrashedRun, match="lost: worker gone"):
        future.result()


def test_a_result_that_is_lost_on_its_way_here_is_crashed_and_says_why(future, inner):
    inner.inner.set_result(Completed(data=1))

    def lost():
        raise OSError("the worker that held it is gone")

    inner.result = lost
    assert future.state.is_crashed()
    with pytest.raises(CrashedRun, match="held it is gone"):
        future.result()


def test_an_answer_that_is_no_state_is_crashed(future, inner):
    inner.inner.set_result("nonsense")
    with pytest.raises(CrashedRun, match="str instead of a state"):
        future.result()


def test_a_cancelled_task_is_crashed_and_does_not_hang(future, inner):
    inner.inner.cancel()
    future.wait(timeout=60)
    assert future.state.is_crashed()


def test_a_time_out_of_the_cluster_itself_is_no_time_out_of_the_waiting(future, inner):
    inner.inner.set_exception(TimeoutError("no worker"))
    future.wait(timeout=60)
    assert future.state.is_crashed()
    with pytest.raises(CrashedRun, match="no worker"):
        future.result(timeout=60)


def test_a_callback_gets_this_future_with_its_state_and_at_once_if_it_is_late(future, inner):
    seen: list[tuple[ClusterFuture, State]] = []
    future.add_done_callback(lambda done: seen.append((done, done.state)))
    assert not seen
    state = Completed()
    inner.inner.set_result(state)
    future.add_done_callback(lambda done: seen.append((done, done.state)))
    assert seen == [(future, state), (future, state)]


def test_wait_and_as_completed_of_prefect_take_these_futures():
    inners = [StandInFuture() for _ in range(3)]
    futures = [ClusterFuture(uuid.uuid4(), inner, ENGINE) for inner in inners]
    for number, inner in enumerate(inners):
        threading.Timer(0.02 * number, inner.inner.set_result, args=[Completed(data=number)]).start()
    assert sorted(future.result() for future in as_completed(futures)) == [0, 1, 2]
    assert len(wait(futures).done) == 3


def test_futures_are_equal_by_task_run_and_can_stand_in_a_set(future, inner):
    twin = ClusterFuture(future.task_run_id, inner, ENGINE)
    assert {future, twin} == {future}
    assert future != ClusterFuture(uuid.uuid4(), inner, ENGINE)


def test_a_future_that_has_arrived_has_ended_and_travels_on():
    state, task_run_id = Completed(data=7), uuid.uuid4()
    arrived = pickle.loads(pickle.dumps(ArrivedFuture(task_run_id, state)))
    seen = []
    arrived.add_done_callback(seen.append)
    arrived.wait()
    assert arrived.task_run_id == task_run_id
    assert arrived.state.is_completed()
    assert arrived.result() == 7
    assert seen == [arrived] == list(as_completed([arrived]))


def test_a_failure_that_has_arrived_is_raised_or_returned():
    arrived = ArrivedFuture(uuid.uuid4(), Failed(data=KeyError("x")))
    with pytest.raises(KeyError):
        arrived.result()
    assert isinstance(arrived.result(raise_on_failure=False), KeyError)


def test_an_upstream_future_finds_its_state_among_those_handed_over():
    token = upstream_states.set([Completed(data=1), Completed(data=2)])
    assert upstream_future(uuid.uuid4(), 1).result() == 2
    upstream_states.reset(token)
