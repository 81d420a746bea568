"""One task after the other, in the flow's process."""

from __future__ import annotations

import asyncio
import os
import threading
from contextvars import ContextVar

import pytest
from prefect import allow_failure, flow, tags, task
from prefect.context import TagsContext
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_flowrun import ClusterTaskRunner
from prefect_flowrun.runner.sequential import SequentialTaskRunner

SEQUENTIAL = ClusterTaskRunner(engine="sequential")
WHERE: ContextVar[str] = ContextVar("where", default="flow")


@pytest.fixture(autouse=True)
def api(prefect_server):
    with temporary_settings({PREFECT_API_URL: prefect_server.url}):
        yield


@task
def note(said, word):
    said.append(word)
    return word


@task
async def note_async(said, word):
    await asyncio.sleep(0)
    said.append(word)
    return word


@task
def broken():
    raise ValueError("no")


def test_submit_returns_when_the_task_has_ended():
    @flow(task_runner=SEQUENTIAL)
    def talk():
        said = []
        for number in range(3):
            future = note.submit(said, f"task {number}")
            assert future.state.is_completed()
            said.append(f"flow {number}")
        return said

    assert talk() == ["task 0", "flow 0", "task 1", "flow 1", "task 2", "flow 2"]


def test_map_keeps_the_order_and_results_are_in_their_places():
    @flow(task_runner=SEQUENTIAL)
    def mapping():
        said = []

        @task
        def double(number):
            said.append(number)
            return 2 * number

        return double.map([3, 1, 2]).result(), said

    assert mapping() == ([6, 2, 4], [3, 1, 2])


def test_a_task_runs_in_the_thread_of_the_flow_where_a_debugger_stops():
    @flow(task_runner=SEQUENTIAL)
    def place():
        @task
        def where():
            return os.getpid(), threading.get_ident()

        return where.submit().result()

    assert place() == (os.getpid(), threading.get_ident())


def test_an_async_task_runs_in_an_async_flow_and_in_a_sync_one():
    @flow(task_runner=SEQUENTIAL)
    async def talk_async():
        said = []
        results = [note_async.submit(said, "a").result(), note.submit(said, "b").result()]
        return said, results

    @flow(task_runner=SEQUENTIAL)
    def talk():
        said = []
        return said, [note_async.submit(said, "a").result(), note.submit(said, "b").result()]

    assert asyncio.run(talk_async()) == talk() == (["a", "b"], ["a", "b"])


def test_a_task_may_submit_another_and_wait_for_it():
    @flow(task_runner=SEQUENTIAL)
    def nesting():
        said = []

        @task
        def outer(depth):
            if depth:
                outer.submit(depth - 1).result()
            note.submit(said, depth).result()
            return depth

        return outer.submit(3).result(), said

    assert nesting() == (3, [0, 1, 2, 3])


def test_a_failure_is_a_state_and_is_raised_by_whoever_asks():
    @flow(task_runner=SEQUENTIAL)
    def failing():
        future = broken.submit()
        assert future.state.is_failed()
        assert isinstance(future.result(raise_on_failure=False), ValueError)
        with pytest.raises(ValueError, match="no"):
            future.result()
        dependent = note.submit([], future)
        assert dependent.state.name == "NotReady"
        assert isinstance(note.submit([], allow_failure(future)).result(), ValueError)
        assert note.submit([], "x", wait_for=[future]).state.name == "NotReady"
        return "survived"

    assert failing() == "survived"


def test_retries_are_those_of_the_task():
    @flow(task_runner=SEQUENTIAL)
    def retrying():
        tried = []

        @task(retries=2)
        def third_time():
            tried.append(1)
            if len(tried) < 3:
                raise ValueError
            return len(tried)

        return third_time.submit().result()

    assert retrying() == 3


def test_nothing_that_a_task_sets_in_its_context_is_left_in_the_flow():
    @flow(task_runner=SEQUENTIAL)
    def clean():
        @task
        def sets():
            before = WHERE.get()
            WHERE.set("task")
            return before, sorted(TagsContext.get().current_tags)

        with tags("t"):
            seen = [sets.submit().result(), sets.submit().result()]
        return seen, WHERE.get()

    assert clean() == ([("flow", ["t"])] * 2, "flow")


def test_task_runs_and_their_inputs_are_recorded_in_prefect(prefect_server):
    @flow(task_runner=SEQUENTIAL)
    def linked():
        note.submit([], note.submit([], "x"))

    state = linked(return_state=True)
    runs = prefect_server.final_task_runs(str(state.state_details.flow_run_id), expected=2)
    assert sorted(run["state_type"] for run in runs) == ["COMPLETED", "COMPLETED"]
    [upstream] = [found["id"] for run in runs for found in run["task_inputs"]["word"]]
    assert upstream in {run["id"] for run in runs}


def test_submitting_outside_a_flow_is_an_error():
    with pytest.raises(RuntimeError, match="must be started"):
        SequentialTaskRunner().submit(broken, {})


def test_runners_are_equal():
    assert SequentialTaskRunner() == SequentialTaskRunner().duplicate()
    assert len({SequentialTaskRunner(), SequentialTaskRunner()}) == 1
