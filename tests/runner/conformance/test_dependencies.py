"""Tasks that depend on others"""

from __future__ import annotations

import pytest
from conformance_suite.helpers import Point
from prefect import allow_failure, flow, task
from prefect.exceptions import UnfinishedRun
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import opaque, quote


@task
def one():
    return 1


@task
def add(*values):
    return sum(values)


@task
def same(value):
    return value


@task
def fail():
    raise ValueError("no")


def test_future_as_parameter_gives_its_result(task_runner):
    @flow(task_runner=task_runner)
    def run():
        first = one.submit()
        left, right = add.submit(first, 1), add.submit(first, 2)
        return add.submit(left, right).result()

    assert run() == 5


def test_futures_in_collections_give_their_results(task_runner):
    @flow(task_runner=task_runner)
    def run():
        future = one.submit()
        return same.submit([future, {"a": (future, 2)}, Point(future)]).result()

    assert run() == [1, {"a": (1, 2)}, Point(1)]


def test_states_as_parameters_give_their_results(task_runner):
    @flow(task_runner=task_runner)
    def run():
        return add.submit(one(return_state=True), one.submit(return_state=True)).result()

    assert run() == 2


def test_quoted_values_are_not_looked_into(task_runner):
    @flow(task_runner=task_runner)
    def run():
        return same.submit(quote([1, 2])).result(), same.submit(opaque({"a": 1})).result()

    assert run() == ([1, 2], {"a": 1})


def test_wait_for_keeps_the_order(task_runner, tally):
    @task
    def first():
        tally.add("first")

    @task
    def second():
        return tally.count("first")

    @flow(task_runner=task_runner)
    def run():
        return second.submit(wait_for=[first.submit()]).result()

    assert run() == 1


def test_wait_for_takes_nested_futures(task_runner, tally):
    @task
    def first():
        tally.add("first")

    @task
    def second():
        return tally.count("first")

    @flow(task_runner=task_runner)
    def run():
        return second.submit(wait_for=[[first.submit()]]).result()

    assert run() == 1


def test_task_called_directly_takes_a_future(task_runner):
    @flow(task_runner=task_runner)
    def run():
        return add(one.submit(), 1, wait_for=[one.submit()])

    assert run() == 2


def test_future_of_another_runner_gives_its_result(task_runner):
    @flow(task_runner=task_runner)
    def run():
        with ThreadPoolTaskRunner() as other:
            foreign = other.submit(one, {})
            return add.submit(foreign, 1, wait_for=[foreign]).result()

    assert run() == 2


def test_flow_takes_a_future(task_runner):
    @flow(task_runner=task_runner)
    def inner(x):
        return add.submit(x, 1).result()

    @flow(task_runner=task_runner)
    def run():
        return inner(one.submit())

    assert run() == 2


def test_returned_futures_decide_the_state_of_the_flow(task_runner):
    @flow(task_runner=task_runner)
    def run():
        return one.submit(), fail.submit()

    state = run(return_state=True)
    assert state.is_failed(), state


def test_downstream_of_a_failure_does_not_run(task_runner, tally):
    @task
    def after(value=None):
        tally.add("after")

    @flow(task_runner=task_runner)
    def run():
        failed = fail.submit()
        futures = [after.submit(failed), after.submit(wait_for=[failed])]
        for future in futures:
            future.wait()
            with pytest.raises(UnfinishedRun):
                future.result()
        return [future.state.name for future in futures]

    assert run() == ["NotReady", "NotReady"]
    assert tally.count("after") == 0


def test_downstream_of_what_is_not_ready_is_not_ready(task_runner):
    @flow(task_runner=task_runner)
    def run():
        last = add.submit(add.submit(fail.submit()))
        last.wait()
        return last.state.name

    assert run() == "NotReady"


def test_allow_failure_passes_the_exception(task_runner):
    @task
    def name(value):
        return type(value).__name__

    @flow(task_runner=task_runner)
    def run():
        failed = fail.submit()
        return name.submit(allow_failure(failed)).result(), add.submit(1, wait_for=[allow_failure(failed)]).result()

    assert run() == ("ValueError", 1)


def test_edges_are_recorded(task_runner, server):
    @flow(task_runner=task_runner)
    def run():
        first = one.submit()
        futures = [
            add.with_options(name="by parameter").submit(first),
            add.with_options(name="by order").submit(wait_for=[first]),
            same.with_options(name="by result").submit(same.with_options(name="direct")([1])),
            *add.with_options(name="by map").map([first]),
        ]
        for future in futures:
            future.wait()

    state = run(return_state=True)
    runs = {run["name"].rsplit("-", 1)[0]: run for run in server.final_task_runs(state.state_details.flow_run_id, 6)}
    assert len(runs) == 6

    def upstream(name, parameter):
        return [found["id"] for found in runs[name]["task_inputs"].get(parameter, []) if "id" in found]

    assert upstream("by parameter", "values") == [runs["one"]["id"]]
    assert upstream("by order", "wait_for") == [runs["one"]["id"]]
    assert upstream("by result", "value") == [runs["direct"]["id"]]
    assert upstream("by map", "values") == [runs["one"]["id"]]
