"""Failures, retries and timeouts"""

from __future__ import annotations

import sys
import time

import pytest
from conformance_suite.helpers import OneWayError, StockError
from prefect import flow, task
from prefect.states import Completed, Failed


@task
def one():
    return 1


def test_exception_arrives_with_its_class_and_attributes(task_runner):
    @task
    def sell():
        raise StockError("pen", missing=2)

    @flow(task_runner=task_runner)
    def run():
        with pytest.raises(StockError) as caught:
            sell.submit().result()
        return caught.value.item, caught.value.missing

    assert run() == ("pen", 2)


def test_raise_on_failure_false_gives_the_exception(task_runner):
    @task
    def sell():
        raise StockError("pen")

    @flow(task_runner=task_runner)
    def run():
        return type(sell.submit().result(raise_on_failure=False)).__name__

    assert run() == "StockError"


def test_failed_state_tells_the_exception(task_runner):
    @task
    def sell():
        raise StockError("pen")

    @flow(task_runner=task_runner)
    def run():
        state = sell.submit(return_state=True)
        return state.name, "StockError" in state.message

    assert run() == ("Failed", True)


def test_flow_fails_with_the_exception_of_a_task(task_runner):
    @task
    def sell():
        raise StockError("pen")

    @flow(task_runner=task_runner)
    def run():
        sell.submit().result()

    state = run(return_state=True)
    assert state.name == "Failed"
    with pytest.raises(StockError):
        state.result()


def test_task_may_return_a_state(task_runner):
    @task
    def decide(good):
        return Completed(name="Skipped", message="fine") if good else Failed(message="bad")

    @flow(task_runner=task_runner)
    def run():
        states = [decide.submit(good, return_state=True) for good in (True, False)]
        return [(state.type.value, state.name, state.message) for state in states]

    assert run() == [("COMPLETED", "Skipped", "fine"), ("FAILED", "Failed", "bad")]


def test_retries_run_a_task_again(task_runner, tally, server):
    @task(retries=2, retry_delay_seconds=0.05)
    def flaky():
        from prefect.runtime import task_run

        if tally.add("start") < 3:
            raise ValueError("again")
        return task_run.run_count

    @flow(task_runner=task_runner)
    def run():
        return flaky.submit().result()

    state = run(return_state=True)
    assert state.result() == 3
    assert tally.count("start") == 3
    assert [run["run_count"] for run in server.final_task_runs(state.state_details.flow_run_id, 1)] == [3]


def test_retries_end(task_runner, tally):
    @task(retries=1)
    def hopeless():
        tally.add("start")
        raise ValueError("no")

    @flow(task_runner=task_runner)
    def run():
        with pytest.raises(ValueError, match="no"):
            hopeless.submit().result()

    run()
    assert tally.count("start") == 2


def test_retry_condition_decides(task_runner, tally):
    def worth_it(task, run, state):
        return "busy" in state.message

    @task(retries=1, retry_condition_fn=worth_it)
    def fetch(reason):
        tally.add(reason)
        raise ValueError(reason)

    @flow(task_runner=task_runner)
    def run():
        for future in fetch.map(["busy", "gone"]):
            future.wait()

    run()
    assert (tally.count("busy"), tally.count("gone")) == (2, 1)


def test_timeout_fails_the_task(task_runner):
    @task(timeout_seconds=0.2)
    def slow():
        for _ in range(500):  # a thread can only be stopped between two steps
            time.sleep(0.02)

    @flow(task_runner=task_runner)
    def run():
        state = slow.submit(return_state=True)
        return state.type.value, state.name

    assert run() == ("FAILED", "TimedOut")


def test_timeout_fails_an_async_task(task_runner):
    @task(timeout_seconds=0.2)
    async def slow():
        import asyncio

        await asyncio.sleep(20)

    @flow(task_runner=task_runner)
    def run():
        return slow.submit(return_state=True).name

    assert run() == "TimedOut"


def test_exception_that_cannot_be_unpickled_is_a_failure(task_runner):
    @task
    def fail():
        raise OneWayError(404, "gone")

    @flow(task_runner=task_runner)
    def run():
        future = fail.submit()
        future.wait(timeout=60)
        return future.state.type.value, "404: gone" in future.state.message

    assert run() == ("FAILED", True)


def test_exception_that_cannot_be_pickled_is_a_failure(task_runner):
    @task
    def fail():
        error = ValueError("with a lock")
        error.lock = sys._getframe()
        raise error

    @flow(task_runner=task_runner)
    def run():
        future = fail.submit()
        future.wait(timeout=60)
        return future.state.type.value, "with a lock" in future.state.message

    assert run() == ("FAILED", True)


def test_result_that_cannot_be_pickled_is_an_error(task_runner, runner_name):
    """Never a hang. In the flow's own process it may be returned."""

    @task
    def frame():
        return sys._getframe()

    @flow(task_runner=task_runner)
    def run():
        future = frame.submit()
        if runner_name in ("threads", "flowrun-threads", "flowrun-sequential"):
            return future.result() is not None
        with pytest.raises(Exception, match="pickle"):
            future.result(timeout=60)
        return not future.state.is_completed()

    assert run() is True


def test_sys_exit_in_a_task_crashes_that_task_once(task_runner, server, tally):
    @task
    def leave():
        if tally.add("start") == 1:
            sys.exit(3)

    @flow(task_runner=task_runner)
    def run():
        future = leave.submit()
        future.wait(timeout=60)
        return future.state.type.value, one.submit().result()

    state = run(return_state=True)
    assert tally.count("start") == 1
    assert state.result() == ("CRASHED", 1)
    assert server.task_states(state.state_details.flow_run_id, 2) == ["COMPLETED", "CRASHED"]
