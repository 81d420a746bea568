"""Map a task over iterables"""

from __future__ import annotations

import asyncio

import pytest
from prefect import allow_failure, flow, task, unmapped
from prefect.exceptions import MappingLengthMismatch, MappingMissingIterable
from prefect.utilities.annotations import opaque, quote


@task
def add(x, y=10):
    return x + y


def test_map_gives_a_future_per_element_in_order(task_runner):
    @flow(task_runner=task_runner)
    def run():
        futures = add.map(range(4))
        futures.wait()
        return [future.result() for future in futures], futures.result()

    assert run() == ([10, 11, 12, 13], [10, 11, 12, 13])


def test_map_takes_several_iterables(task_runner):
    @flow(task_runner=task_runner)
    def run():
        return add.map([1, 2], y=(3, 4)).result()

    assert run() == [4, 6]


def test_unmapped_and_plain_values_go_to_every_element(task_runner):
    @task
    def describe(x, items, y):
        return x, items, y

    @flow(task_runner=task_runner)
    def run():
        return describe.map([1, 2], unmapped([7, 8]), 9).result()

    assert run() == [(1, [7, 8], 9), (2, [7, 8], 9)]


def test_map_takes_futures(task_runner):
    @task
    def numbers():
        return [1, 2]

    @flow(task_runner=task_runner)
    def run():
        listed = numbers.submit()
        single = add.submit(0, 5)
        return add.map(listed).result(), add.map([single, 2]).result(), add.map([1, 2], unmapped(single)).result()

    assert run() == ([11, 12], [15, 12], [6, 7])


def test_map_takes_the_futures_of_a_map(task_runner):
    @flow(task_runner=task_runner)
    def run():
        return add.map(add.map([1, 2])).result()

    assert run() == [21, 22]


def test_map_waits_for_others(task_runner, tally):
    @task
    def first():
        tally.add("first")

    @task
    def second(x):
        return x, tally.count("first")

    @flow(task_runner=task_runner)
    def run():
        return second.map([1, 2], wait_for=[first.submit()]).result()

    assert run() == [(1, 1), (2, 1)]


def test_map_allows_failures(task_runner):
    @task
    def odd(x):
        if x % 2 == 0:
            raise ValueError(x)
        return x

    @task
    def name(value):
        return type(value).__name__

    @flow(task_runner=task_runner)
    def run():
        return name.map(allow_failure(odd.map([1, 2]))).result()

    assert run() == ["int", "ValueError"]


def test_map_passes_annotated_values_on(task_runner):
    @task
    def pair(x, y):
        return x, y

    @flow(task_runner=task_runner)
    def run():
        return pair.map(quote([1, 2]), unmapped(3)).result(), pair.map(opaque([1, 2]), unmapped(3)).result()

    assert run() == ([(1, 3), (2, 3)], [(1, 3), (2, 3)])


def test_map_of_an_async_task(task_runner):
    @task
    async def double(x):
        await asyncio.sleep(0)
        return 2 * x

    @flow(task_runner=task_runner)
    def run():
        return double.map([1, 2]).result()

    assert run() == [2, 4]


def test_map_refuses_what_cannot_be_mapped(task_runner):
    @flow(task_runner=task_runner)
    def run():
        with pytest.raises(MappingMissingIterable):
            add.map(1)
        with pytest.raises(MappingLengthMismatch):
            add.map([1, 2], [3])
        return list(add.map([]))

    assert run() == []


def test_map_result_raises_a_failure(task_runner):
    @task
    def fail(x):
        raise ValueError(x)

    @flow(task_runner=task_runner)
    def run():
        futures = fail.map([1, 2])
        with pytest.raises(ValueError, match=r"1|2"):
            futures.result()
        return [str(error) for error in futures.result(raise_on_failure=False)]

    assert run() == ["1", "2"]
