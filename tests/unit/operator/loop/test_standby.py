"""An operator that stands by, and one that takes over."""

from __future__ import annotations

import asyncio

import pytest
from operator_testing.builders import NAMESPACE, raw_run
from operator_testing.settle import settle

from flowrun_operator.__main__ import act
from flowrun_operator.election.election import LeaseLostError
from flowrun_operator.kube.errors import ApiError
from flowrun_operator.loop.cache import Cache
from flowrun_operator.loop.keys import Key
from flowrun_operator.loop.queue import WorkQueue
from flowrun_operator.wiring import take_over

RUN = Key("FlowRun", NAMESPACE, "etl")


class Fence:
    """An API that refuses the writes of an operator which does not lead."""

    def __init__(self, api) -> None:
        self._api = api
        self.open = True

    def __getattr__(self, name: str):
        if name in {"create", "patch_status", "scale", "delete", "delete_collection"} and not self.open:
            raise ApiError(0, "NotLeading", "not renewed")
        return getattr(self._api, name)


class Election:
    """Leads and ends when the test says so."""

    def __init__(self) -> None:
        self.acquired, self.lost = asyncio.Event(), asyncio.Event()

    async def acquire(self) -> None:
        await self.acquired.wait()

    async def hold(self) -> None:
        await self.lost.wait()
        raise LeaseLostError("lost")


class Worker:
    """Stands for the reconciler."""

    def __init__(self) -> None:
        self.running = False

    async def run(self) -> None:
        self.running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.running = False


def standby() -> tuple[Cache, WorkQueue]:
    cache, queue = Cache(), WorkQueue()
    queue.accepting = False
    return cache, queue


def test_F05_the_queue_of_a_standby_does_not_grow():
    _, queue = standby()
    for number in range(100):
        queue.put(Key("FlowRun", NAMESPACE, f"etl-{number}"))
    queue.put_failed(RUN)
    assert len(queue) == 0


async def test_F05_who_takes_over_looks_at_all_that_it_knows():
    cache, queue = standby()
    cache.feed("FlowRun", raw_run())
    cache.complete = True
    take_over(cache, queue)
    assert await queue.get() == RUN


def test_F06_who_takes_over_with_half_a_cache_waits_for_the_rest():
    cache, queue = standby()
    cache.feed("FlowRun", raw_run())
    take_over(cache, queue)
    assert len(queue) == 0
    queue.put(RUN)  # as the first events do, when every kind has been listed
    assert len(queue) == 1


async def test_F05_nothing_is_worked_on_before_the_lease_is_ours_or_after_it_was_lost():
    cache, queue = standby()
    election, worker = Election(), Worker()
    acting = asyncio.create_task(act(election, worker, cache, queue))
    await settle()
    assert (worker.running, queue.accepting) == (False, False)
    election.acquired.set()
    await settle()
    assert (worker.running, queue.accepting) == (True, True)
    election.lost.set()
    with pytest.raises(LeaseLostError):
        await acting
    assert not worker.running


async def test_F05_what_a_paused_leader_was_about_to_do_is_refused_and_the_next_leader_does_it_once(world):
    world.api = Fence(world.api)
    world.start_operator()
    world.apply()
    world.api.open = False  # paused with the key in its hands; another one leads by now
    await world.work()
    assert [error.reason for error in world.errors] == ["NotLeading"]
    assert world.api.writes == []
    world.api.open = True
    world.start_operator()
    await world.pass_time(5)
    assert world.api.writes.count("create Job etl-1") == 1
    assert world.api.names("Job") == ["etl-1"]


async def test_F05_two_operators_that_both_act_make_one_driver(world):
    """Should the fence ever fail: names and owners still allow one driver per attempt only."""
    world.apply()
    first = world.reconciler
    world.start_operator()
    await asyncio.gather(first.reconcile(RUN), world.reconciler.reconcile(RUN), return_exceptions=True)
    await world.pass_time(5)
    assert world.api.names("Job") == ["etl-1"]
    assert world.status["state"] == "Running"
