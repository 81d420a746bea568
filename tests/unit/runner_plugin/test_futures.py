"""The future that `.submit` returns, over futures of concurrent.futures in place of an engine's."""

from __future__ import annotations

import concurrent.futures
import threading
import uuid

import pytest
from prefect.client.schemas.objects import State
from prefect.exceptions import CrashedRun
from prefect.futures import as_completed, wait
from prefect.states import Completed, Failed

from prefect_flowrun import ClusterFuture


class FakeEngine:
    name = "Fake"
    startup_failure = None

    def is_timeout(self, error):
        return isinstance(error, TimeoutError)

    def describe_loss(self, error):
        return f"lost: {error}"


@pytest.fixture
def inner():
    return concurrent.futures.Future()


@pytest.fixture
def future(inner):
    return ClusterFuture(uuid.uuid4(), inner, FakeEngine())


def test_wait_returns_without_an_error_when_the_time_is_up(future):
    future.wait(timeout=0.01)


def test_result_raises_a_time_out_when_the_time_is_up(future):
    with pytest.raises(TimeoutError, match=str(future.task_run_id)):
        future.result(timeout=0.01)


def test_the_final_state_becomes_the_state_and_its_data_the_result(future, inner):
    state = Completed(data=5)
    inner.set_result(state)
    assert future.result() == 5
    assert future.state is state


def test_a_failed_task_raises_its_exception_or_returns_it(future, inner):
    inner.set_result(Failed(data=ValueError("no")))
    with pytest.raises(ValueError, match="no"):
        future.result()
    assert isinstance(future.result(raise_on_failure=False), ValueError)


def test_a_task_that_the_cluster_lost_is_crashed_and_says_why(future, inner):
    inner.set_exception(RuntimeError("worker gone"))
    future.wait()
    assert future.state.is_crashed()
    with pytest.raises(CrashedRun, match="lost: worker gone"):
        future.result()


def test_a_cancelled_task_is_crashed_and_does_not_hang(future, inner):
    inner.cancel()
    future.wait(timeout=1)
    assert future.state.is_crashed()


def test_a_time_out_of_the_cluster_itself_is_no_time_out_of_the_waiting(future, inner):
    inner.set_exception(TimeoutError("no worker"))
    future.wait(timeout=1)
    assert future.state.is_crashed()


def test_a_callback_gets_this_future_with_its_state_and_at_once_if_it_is_late(future, inner):
    seen: list[tuple[ClusterFuture, State]] = []
    future.add_done_callback(lambda done: seen.append((done, done.state)))
    assert not seen
    state = Completed()
    inner.set_result(state)
    future.add_done_callback(lambda done: seen.append((done, done.state)))
    assert seen == [(future, state), (future, state)]


def test_wait_and_as_completed_of_prefect_take_these_futures():
    inners = [concurrent.futures.Future() for _ in range(3)]
    futures = [ClusterFuture(uuid.uuid4(), inner, FakeEngine()) for inner in inners]
    for number, inner in enumerate(inners):
        threading.Timer(0.02 * number, inner.set_result, args=[Completed(data=number)]).start()
    assert [future.result() for future in as_completed(futures)] == [0, 1, 2]
    assert len(wait(futures).done) == 3


def test_futures_are_equal_by_task_run_and_can_stand_in_a_set(future, inner):
    twin = ClusterFuture(future.task_run_id, inner, FakeEngine())
    assert {future, twin} == {future}
    assert future != ClusterFuture(uuid.uuid4(), inner, FakeEngine())
