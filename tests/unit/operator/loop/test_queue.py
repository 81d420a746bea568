import asyncio

import pytest
from operator_testing.settle import settle

from flowrun_operator.loop.keys import Key
from flowrun_operator.loop.queue import WorkQueue, back_off_s

A, B = Key("FlowRun", "team", "a"), Key("FlowRun", "team", "b")


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock) -> WorkQueue:
    return WorkQueue(clock)


async def due(queue: WorkQueue) -> Key | None:
    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    if getting.done():
        return getting.result()
    getting.cancel()
    await asyncio.gather(getting, return_exceptions=True)
    return None


async def test_a_key_that_is_put_twice_is_worked_on_once(queue):
    queue.put(A)
    queue.put(A)
    assert len(queue) == 1
    assert await due(queue) == A
    queue.done(A)
    assert await due(queue) is None


async def test_keys_come_in_the_order_in_which_they_are_due(queue, clock):
    queue.put(A, 2)
    queue.put(B, 1)
    assert await due(queue) is None
    clock.seconds = 3
    assert [await due(queue), await due(queue)] == [B, A]


async def test_an_earlier_put_overtakes_a_later_one(queue, clock):
    queue.put(A, 10)
    queue.put(A, 1)
    clock.seconds = 1
    assert await due(queue) == A
    queue.done(A)
    clock.seconds = 20
    assert await due(queue) is None, "the overtaken put is gone"


async def test_a_later_put_does_not_delay_an_earlier_one(queue, clock):
    queue.put(A, 1)
    queue.put(A, 10)
    clock.seconds = 1
    assert await due(queue) == A


async def test_a_key_has_one_worker_at_a_time_and_comes_again_when_it_was_put_meanwhile(queue):
    queue.put(A)
    assert await due(queue) == A
    queue.put(A)
    assert await due(queue) is None
    queue.done(A)
    assert await due(queue) == A


async def test_a_busy_key_does_not_hold_up_others(queue):
    queue.put(A)
    assert await due(queue) == A
    queue.put(A)
    queue.put(B)
    assert await due(queue) == B


async def test_a_key_put_with_a_delay_while_busy_waits_its_time(queue, clock):
    queue.put(A)
    await due(queue)
    queue.put(A, 5)
    queue.done(A)
    assert await due(queue) is None
    clock.seconds = 5
    assert await due(queue) == A


async def test_F12_failures_back_off_up_to_half_a_minute_and_a_success_forgets_them(queue):
    delays = [queue.put_failed(A) for _ in range(12)]
    assert delays[:4] == [0.2, 0.4, 0.8, 1.6]
    assert max(delays) == delays[-1] == 30.0
    queue.succeeded(A)
    assert queue.put_failed(A) == 0.2


# failures before, asked for, waited
TABLE = [(0, 0, 0.2), (0, 7, 7), (5, 7, 7), (6, 7, 12.8), (12, 7, 30), (0, 1000, 60), (12, 1000, 60), (10_000, 0, 30)]


@pytest.mark.parametrize(("failures", "asked", "waited"), TABLE)
def test_F11_a_key_waits_its_back_off_and_at_least_what_the_server_asks_for_up_to_a_minute(failures, asked, waited):
    assert back_off_s(failures, asked) == waited


@pytest.mark.parametrize("event_comes", ["while the key is worked on", "while the key waits"])
async def test_F11_an_event_waits_for_the_time_that_the_server_has_named(queue, clock, event_comes):
    queue.put(A)
    assert await due(queue) == A
    if event_comes == "while the key is worked on":
        queue.put(A)
    queue.put_failed(A, 7)
    queue.done(A)
    if event_comes == "while the key waits":
        queue.put(A)
    clock.seconds = 6.9
    assert await due(queue) is None
    clock.seconds = 7
    assert await due(queue) == A
    queue.succeeded(A)
    queue.put(A)
    queue.done(A)
    assert await due(queue) == A, "the wait is over"


async def test_F11_an_event_waits_no_longer_than_the_server_asks(queue, clock):
    for _ in range(12):
        queue.put_failed(A)
    clock.seconds = 100
    assert await due(queue) == A
    assert queue.put_failed(A, 7) == 30
    queue.put(A)
    queue.done(A)
    clock.seconds = 107
    assert await due(queue) == A


async def test_F11_other_keys_do_not_wait(queue):
    queue.put(A)
    await due(queue)
    queue.put_failed(A, 7)
    queue.done(A)
    queue.put(B)
    assert await due(queue) == B


async def test_an_event_does_not_wait_for_the_back_off(queue):
    for _ in range(8):
        queue.put_failed(A)
    queue.put(A)
    assert await due(queue) == A


async def test_F30_a_thousand_failures_do_not_overflow(queue):
    for _ in range(2000):
        queue.put_failed(A)
    assert queue.put_failed(A) == 30.0


async def test_a_waiting_worker_is_woken_by_a_put():
    queue = WorkQueue()
    getting = asyncio.create_task(queue.get())
    await settle()
    queue.put(A)
    assert await asyncio.wait_for(getting, 20) == A


async def test_a_waiting_worker_is_woken_when_its_time_has_come():
    queue = WorkQueue()
    queue.put(B, 60)
    queue.put(A, 0.02)
    assert await asyncio.wait_for(queue.get(), 20) == A


async def test_two_waiting_workers_get_two_keys():
    queue = WorkQueue()
    both = [asyncio.create_task(queue.get()) for _ in range(2)]
    await settle()
    queue.put(A)
    queue.put(B)
    assert set(await asyncio.wait_for(asyncio.gather(*both), 20)) == {A, B}


@pytest.mark.parametrize("turns", range(5))
async def test_F05_a_worker_ends_when_it_is_told_to_though_a_key_came_at_that_moment(turns):
    queue = WorkQueue()
    queue.put(B, 60)  # so that it waits for a time too

    async def work() -> None:
        while True:
            queue.done(await queue.get())

    working = asyncio.create_task(work())
    await asyncio.sleep(0.01)
    queue.put(A)
    for _ in range(turns):
        await asyncio.sleep(0)
    working.cancel()
    await asyncio.wait([working], timeout=1)
    ended = working.done()
    working.cancel()
    assert ended
