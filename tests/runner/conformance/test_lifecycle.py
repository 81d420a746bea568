"""Runners and flows: start, end, nesting"""

from __future__ import annotations

import contextvars
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import pytest
from prefect import flow, task
from prefect.runtime import flow_run
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect_server import eventually


@task
def one():
    return 1


@task
def add(x, y):
    return x + y


@task
def process():
    return os.getpid()


def open_at_the_end(gate, folder, has_ended):
    """Open a gate, from a thread, when the flow run that leaves its id in a folder has ended; else the test fails."""

    def wait():
        [note] = eventually(lambda: list(folder.glob("flow-run-*")), bool)
        eventually(lambda: has_ended(note.name.removeprefix("flow-run-")), bool)
        gate.open()

    threading.Thread(target=wait, daemon=True).start()


def leave_id(folder):
    (folder / f"flow-run-{flow_run.id}").touch()


def test_flow_that_does_not_wait_has_all_its_tasks_run(task_runner, server, tally, gate, runner_name):
    """All but the first have not even begun when the flow ends."""
    tells = runner_name in ("flowrun-dask", "flowrun-ray", "flowrun-threads")
    told = re.compile(r"Waiting for \d task run\(s\) that the flow did not wait for")

    @task
    def work(number):
        gate.wait()
        time.sleep(0.1)
        tally.add(f"done-{number}")

    def has_ended(flow_run_id):
        if tells:
            return bool(told.search(str(server.logs(flow_run_id))))
        return server.flow_run(flow_run_id)["state_type"] == "COMPLETED"

    @flow(task_runner=task_runner)
    def run():
        leave_id(tally.folder)
        before = []
        for number in range(8):
            before = [work.submit(number, wait_for=before)]

    if runner_name == "flowrun-sequential":
        gate.open()  # a submit runs the task to its end
    else:
        open_at_the_end(gate, tally.folder, has_ended)
    state = run(return_state=True)
    assert len(list(tally.folder.glob("done-*"))) == 8
    assert server.task_states(state.state_details.flow_run_id, 8) == ["COMPLETED"] * 8
    assert not tells or has_ended(state.state_details.flow_run_id)


def test_failed_flow_cancels_what_is_queued(task_runner, server, tally, gate):
    """What runs already can't be stopped."""

    @task
    def work(number):
        tally.add(f"start-{number}")
        gate.wait()

    @flow(task_runner=task_runner)
    def run():
        leave_id(tally.folder)
        for number in range(12):
            work.submit(number)
        raise ValueError("no")

    open_at_the_end(gate, tally.folder, lambda flow_run_id: server.flow_run(flow_run_id)["state_type"] == "FAILED")
    assert run(return_state=True).is_failed()
    gate.wait()
    started = eventually(lambda: len(list(tally.folder.glob("start-*"))), lambda count: count == 12, timeout_s=3)
    assert started < 12


def test_submit_needs_a_started_runner(task_runner):
    with pytest.raises(RuntimeError, match="started"):
        task_runner.submit(one, {})


def test_runner_cannot_be_started_twice(task_runner):
    with task_runner, pytest.raises(RuntimeError, match="already started"):
        task_runner.__enter__()


def test_runner_works_without_a_flow(task_runner):
    with task_runner:
        first = task_runner.submit(add, {"x": 1, "y": 2})
        mapped = task_runner.map(add, {"x": [1, 2], "y": first})
        assert (first.result(), mapped.result()) == (3, [4, 5])


def test_runner_is_equal_to_its_duplicate(task_runner, make_runner):
    assert task_runner.duplicate() is not task_runner
    assert task_runner == task_runner.duplicate() == make_runner()
    assert task_runner != ThreadPoolTaskRunner(max_workers=77)


def test_flow_with_its_runner_can_be_pickled(task_runner):
    @flow(task_runner=task_runner)
    def run():
        return one.submit().result()

    run()
    copy = cloudpickle.loads(cloudpickle.dumps(run))
    assert isinstance(copy.task_runner, TaskRunner)
    assert copy() == 1


def test_flow_can_run_again_and_twice_at_a_time(task_runner):
    @flow(task_runner=task_runner)
    def run(x):
        return add.submit(x, 1).result()

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(contextvars.copy_context().run, run, x) for x in (1, 2)]
    assert [future.result() for future in both] == [2, 3]
    assert run(3) == 4


def test_runner_can_be_given_with_options(task_runner, runner_name):
    @flow
    def run():
        return process.submit().result() == os.getpid()

    in_process = runner_name in ("threads", "flowrun-threads", "flowrun-sequential")
    assert run() is True
    assert run.with_options(task_runner=task_runner)() is in_process


def test_subflow_has_its_own_runner(task_runner):
    @flow(task_runner=ThreadPoolTaskRunner())
    def threads():
        return process.submit().result()

    @flow
    def default():
        return process.submit().result()

    @flow(task_runner=task_runner)
    def run():
        one.submit().wait()
        return [threads(), default()]

    assert run() == [os.getpid()] * 2


def test_subflow_uses_the_same_kind_of_runner(task_runner, make_runner):
    @flow(task_runner=make_runner())
    def inner(x):
        return add.submit(x, 1).result()

    @flow(task_runner=task_runner)
    def run():
        return inner(one.submit().result()), add.submit(1, 1).result()

    assert run() == (2, 2)


def test_task_submits_tasks(task_runner):
    @task
    def outer(x):
        inner = add.submit(x, 1)
        return add.map([1, 2], [inner.result(), 3]).result()

    @flow(task_runner=task_runner)
    def run():
        return outer.submit(1).result()

    assert run() == [3, 5]


def test_task_calls_tasks_and_flows(task_runner):
    @flow
    def sub(x):
        return add.submit(x, 10).result()

    @task
    def outer(x):
        return add(x, 1) + sub(x)

    @flow(task_runner=task_runner)
    def run():
        return outer.submit(1).result()

    assert run() == 13


def test_flow_that_is_retried_runs_its_tasks_again(task_runner, tally):
    @task
    def work():
        tally.add("task")

    @flow(task_runner=task_runner, retries=1)
    def run():
        work.submit().wait()
        if tally.add("flow") < 2:
            raise ValueError("again")
        return "done"

    assert run() == "done"
    assert (tally.count("flow"), tally.count("task")) == (2, 2)
