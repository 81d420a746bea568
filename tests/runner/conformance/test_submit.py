"""Submit a task, use its future"""

from __future__ import annotations

import asyncio
import threading

import pytest
from prefect import flow, task
from prefect.futures import as_completed, wait


@task
def identity(value):
    return value


def test_future_gives_the_result(task_runner):
    @task
    def double(x):
        return 2 * x

    @flow(task_runner=task_runner)
    def run():
        return double.submit(21).result()

    assert run() == 42


def test_submit_returns_before_the_task_ends(task_runner, gate):
    @task
    def held():
        gate.wait()
        return "through"

    @flow(task_runner=task_runner)
    def run():
        future = held.submit()
        final = future.state.is_final()
        gate.open()
        return final, future.result()

    assert run() == (False, "through")


def test_return_state_gives_the_final_state(task_runner):
    @task
    def one():
        return 1

    @flow(task_runner=task_runner)
    def run():
        state = one.submit(return_state=True)
        return state.name, state.result()

    assert run() == ("Completed", 1)


def test_state_of_an_ended_future_is_final(task_runner):
    @task
    def one():
        return 1

    @flow(task_runner=task_runner)
    def run():
        future = one.submit()
        future.wait()
        return future.state.is_completed(), future.state.result(), future.state.state_details.task_run_id

    completed, result, task_run_id = run()
    assert (completed, result) == (True, 1)
    assert task_run_id is not None


def test_wait_with_a_timeout_returns_without_an_error(task_runner, gate):
    @task
    def held():
        gate.wait()
        return 1

    @flow(task_runner=task_runner)
    def run():
        future = held.submit()
        future.wait(timeout=0.05)
        final = future.state.is_final()
        gate.open()
        future.wait()
        return final, future.state.is_completed()

    assert run() == (False, True)


def test_result_with_a_timeout_raises_TimeoutError(task_runner, gate):
    @task
    def held():
        gate.wait()
        return 1

    @flow(task_runner=task_runner)
    def run():
        future = held.submit()
        with pytest.raises(TimeoutError):
            future.result(timeout=0.05)
        gate.open()
        return future.result()

    assert run() == 1


def test_done_callback_gets_the_future_itself(task_runner, gate):
    @task
    def held():
        gate.wait()

    @flow(task_runner=task_runner)
    def run():
        called, seen = threading.Event(), []
        future = held.submit()
        future.add_done_callback(lambda ended: (seen.append(ended), called.set()))
        gate.open()
        future.wait()
        assert called.wait(60)
        return seen == [future]

    assert run() is True


def test_done_callback_added_after_the_end_is_called(task_runner):
    @flow(task_runner=task_runner)
    def run():
        called = threading.Event()
        future = identity.submit(1)
        future.wait()
        future.add_done_callback(lambda ended: called.set())
        return called.wait(60)

    assert run() is True


def test_futures_can_be_keys(task_runner):
    @flow(task_runner=task_runner)
    def run():
        futures = {identity.submit(word): word for word in ("a", "b")}
        return [future.result() == word for future, word in futures.items()]

    assert run() == [True, True]


def test_as_completed_yields_in_the_order_of_the_ends(task_runner, gate):
    @task
    def held():
        gate.wait()
        return "held"

    @flow(task_runner=task_runner)
    def run():
        order = []
        for future in as_completed([held.submit(), identity.submit("free")]):
            order.append(future.result())
            gate.open()
        return order

    assert run() == ["free", "held"]


def test_as_completed_with_a_timeout_raises_TimeoutError(task_runner, gate):
    @task
    def held():
        gate.wait()

    @flow(task_runner=task_runner)
    def run():
        future = held.submit()
        try:
            with pytest.raises(TimeoutError):
                list(as_completed([future], timeout=0.05))
        finally:
            gate.open()
        future.wait()

    run()


def test_wait_tells_ended_futures_from_others(task_runner, gate):
    @task
    def held():
        gate.wait()

    @flow(task_runner=task_runner)
    def run():
        free, slow = identity.submit("free"), held.submit()
        free.wait()
        some = wait([free, slow], timeout=0.1)
        gate.open()
        every = wait([free, slow])
        return some.done == {free}, some.not_done == {slow}, every.done == {free, slow}

    assert run() == (True, True, True)


def test_sync_flow_submits_an_async_task(task_runner):
    @task
    async def double(x):
        await asyncio.sleep(0)
        return 2 * x

    @flow(task_runner=task_runner)
    def run():
        return double.submit(21).result()

    assert run() == 42


def test_async_flow_submits_sync_and_async_tasks(task_runner):
    @task
    async def double(x):
        await asyncio.sleep(0)
        return 2 * x

    @flow(task_runner=task_runner)
    async def run():
        first, second = identity.submit(1), double.submit(21)
        third = double.submit(first)
        return [future.result() for future in (first, second, third)]

    assert asyncio.run(run()) == [1, 42, 2]


def test_async_flow_waits_in_all_the_ways(task_runner):
    @flow(task_runner=task_runner)
    async def run():
        futures = [identity.submit(word) for word in "ab"]
        wait(futures)
        state = identity.submit("c", return_state=True)
        return [future.state.name for future in futures], await state.aresult(), identity.map(["d", "e"]).result()

    assert asyncio.run(run()) == (["Completed", "Completed"], "c", ["d", "e"])


def test_task_called_directly_runs_in_the_flow_process(task_runner):
    @task
    def process():
        import os

        return os.getpid()

    @flow(task_runner=task_runner)
    def run():
        import os

        process.submit().wait()
        return process() == os.getpid()

    assert run() is True


def test_methods_can_be_tasks(task_runner):
    class Shop:
        factor = 3

        def __init__(self, price):
            self.price = price

        @task
        @staticmethod
        def static(x):
            return 10 * x

        @task
        @classmethod
        def of_class(cls, x):
            return cls.factor * x

        @task
        def of_instance(self, x):
            return self.price * x

    @flow(task_runner=task_runner)
    def run():
        shop = Shop(7)
        futures = [Shop.static.submit(2), Shop.of_class.submit(2), shop.of_instance.submit(2)]
        return [future.result() for future in futures]

    assert run() == [20, 6, 14]


def test_generator_task_gives_its_values(task_runner):
    @task
    def count():
        yield from range(3)

    @flow(task_runner=task_runner)
    def run():
        return list(count.submit().result())

    assert run() == [0, 1, 2]
