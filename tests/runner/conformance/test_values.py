"""Parameters and results on their way"""

from __future__ import annotations

import threading

import pytest
from conformance_suite.helpers import Order, Point
from prefect import flow, task

FACTOR = 2


@task
def identity(value):
    return value


def test_dataclasses_and_models_arrive_as_they_are(task_runner):
    @task
    def swap(point, order):
        return Order(item=point.x, count=order.count + 1), Point(order.item, point.y)

    @flow(task_runner=task_runner)
    def run():
        return swap.submit(Point("pen", 1), Order(item="cup")).result()

    assert run() == (Order(item="pen", count=2), Point("cup", 1))


def test_defaults_keywords_and_varargs_arrive(task_runner):
    @task
    def call(a, *rest, b=2, **more):
        return a, rest, b, more

    @flow(task_runner=task_runner)
    def run():
        return call.submit(1).result(), call.submit(1, 5, 6, b=3, c=4).result()

    assert run() == ((1, (), 2, {}), (1, (5, 6), 3, {"c": 4}))


def test_missing_argument_fails_at_the_call(task_runner):
    @flow(task_runner=task_runner)
    def run():
        with pytest.raises(Exception, match="value"):
            identity.submit()

    run()


def test_large_parameter_changed_in_place_arrives_changed(task_runner):
    @task
    def first(data):
        return len(data), data[0]

    @flow(task_runner=task_runner)
    def run():
        data = bytearray(2**20)
        before = first.submit(data)
        before.wait()
        data[0] = 7
        return before.result(), first.submit(data).result()

    assert run() == ((2**20, 0), (2**20, 7))


def test_large_parameter_can_be_changed_right_after_the_submit(task_runner, gate):
    @task
    def first(data):
        gate.wait()
        return data[0]

    @flow(task_runner=task_runner)
    def run():
        data = bytearray(2**20)
        before = first.submit(data)
        data[0] = 7
        gate.open()
        return before.result()

    assert run() == 0


def test_result_of_5_MB_arrives(task_runner):
    @task
    def large():
        return bytes(5 * 2**20)

    @flow(task_runner=task_runner)
    def run():
        return len(large.submit().result())

    assert run() == 5 * 2**20


def test_tasks_do_not_share_mutable_parameters_with_the_flow(task_runner):
    @task
    def grow(items):
        items.append(len(items))
        return items

    @flow(task_runner=task_runner)
    def run():
        items = []
        return grow.submit(items).result(), grow.submit(items).result(), items

    assert run() == ([0], [0], [])


def test_closure_changed_between_submits_is_seen(task_runner):
    @flow(task_runner=task_runner)
    def run():
        factor = 2

        @task
        def scale(x):
            return factor * x

        before = scale.submit(10).result()
        factor = 3
        return before, scale.submit(10).result()

    assert run() == (20, 30)


def test_global_changed_between_submits_is_seen(task_runner):
    @task
    def scale(x):
        return FACTOR * x

    @flow(task_runner=task_runner)
    def run():
        global FACTOR  # noqa: PLW0603 - what this is about
        before = scale.submit(10).result()
        FACTOR = 3
        try:
            return before, scale.submit(10).result()
        finally:
            FACTOR = 2

    assert run() == (20, 30)


def test_closure_object_changed_in_place_is_seen(task_runner):
    @flow(task_runner=task_runner)
    def run():
        rates = {"factor": 2}

        @task
        def scale(x):
            return rates["factor"] * x

        before = scale.submit(10).result()
        rates["factor"] = 3
        return before, scale.submit(10).result()

    assert run() == (20, 30)


def test_parameter_that_cannot_be_pickled_is_an_error_at_the_call(task_runner, runner_name):
    """Never a hang. In the flow's own process it may be passed."""

    @flow(task_runner=task_runner)
    def run():
        lock = threading.Lock()
        if runner_name in ("threads", "flowrun-threads", "flowrun-sequential"):
            return identity.submit(lock).result() is lock
        with pytest.raises(TypeError):
            identity.submit(lock)
        return True

    assert run() is True
