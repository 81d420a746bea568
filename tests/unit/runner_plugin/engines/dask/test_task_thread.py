"""A task that gives up its place in the worker's pool gets it back, or goes on without it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from distributed import threadpoolexecutor
from distributed.threadpoolexecutor import ThreadPoolExecutor

from prefect_flowrun.engines.dask import task_thread

PATIENCE_S = 60


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadPoolExecutor]:
    """A worker's pool of one thread, without the worker."""
    monkeypatch.setattr(task_thread.distributed, "secede", threadpoolexecutor.secede)
    executor = ThreadPoolExecutor(1)
    yield executor
    executor.shutdown(wait=False)


def test_others_run_while_a_task_waits_and_it_has_its_place_back(pool: ThreadPoolExecutor) -> None:
    other_ran = threading.Event()

    def waits() -> tuple[bool, bool]:
        with task_thread.outside_pool():
            ran = other_ran.wait(PATIENCE_S)
        return ran, threading.current_thread() in pool._threads

    future = pool.submit(waits)
    pool.submit(other_ran.set)

    assert future.result(PATIENCE_S) == (True, True)


def test_task_does_not_wait_for_its_place_for_ever(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_thread, "REJOIN_PATIENCE_S", 0.1)
    other_began, goes_on = threading.Event(), threading.Event()

    def waits() -> bool:
        with task_thread.outside_pool():
            assert other_began.wait(PATIENCE_S)
        goes_on.set()
        return threading.current_thread() in pool._threads

    def has_the_place() -> bool:
        other_began.set()
        return goes_on.wait(PATIENCE_S)  # as a task does that waits for a limit which the other holds

    future, other = pool.submit(waits), pool.submit(has_the_place)

    assert other.result(PATIENCE_S)
    assert future.result(PATIENCE_S) is False
    assert pool.submit(lambda: "goes on").result(PATIENCE_S) == "goes on"


def test_leaving_twice_or_outside_of_a_task_is_no_error(pool: ThreadPoolExecutor) -> None:
    assert pool.submit(lambda: (task_thread.leave_pool(), task_thread.leave_pool())).result(PATIENCE_S) == (True, False)
    assert task_thread.leave_pool() is False
