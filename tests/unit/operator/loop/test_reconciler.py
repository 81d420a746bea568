import asyncio
import contextlib

from operator_testing.builders import DEFAULTS, NAMESPACE, raw_run
from operator_testing.fake_api import FakeApi
from operator_testing.faults import too_many
from operator_testing.world import FakePrefect

from flowrun_operator.loop.act import Actor
from flowrun_operator.loop.cache import Cache
from flowrun_operator.loop.keys import Key
from flowrun_operator.loop.queue import WorkQueue
from flowrun_operator.loop.reconciler import Reconciler, utc_now


async def test_F30_workers_outlive_a_reconcile_that_fails():
    api, cache, queue = FakeApi(), Cache(), WorkQueue()
    reconciler = Reconciler(cache, queue, api, Actor(api, FakePrefect(), cache, None), DEFAULTS, api.now)
    poison, good = raw_run("poison", spec={"flow": None}, uid="p"), raw_run("good", uid="g")
    for raw in (poison, good):
        cache.feed("FlowRun", api.add(raw))
        queue.put(Key("FlowRun", NAMESPACE, raw["metadata"]["name"]))
    running = asyncio.create_task(reconciler.run(workers=1))
    for _ in range(100):
        await asyncio.sleep(0.02)
        if api.of("Job"):
            break
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert api.names("Job") == ["good-1"]


async def test_F11_a_throttled_key_waits_for_the_time_that_the_server_has_named(monkeypatch):
    api, cache, queue = FakeApi(), Cache(), WorkQueue()
    reconciler = Reconciler(cache, queue, api, Actor(api, FakePrefect(), cache, None), DEFAULTS, api.now)
    api.refuse = lambda verb, kind, name: too_many(20)
    asked = asyncio.get_running_loop().create_future()
    failed = queue.put_failed
    monkeypatch.setattr(queue, "put_failed", lambda key, asked_s: asked.set_result(asked_s) or failed(key, asked_s))
    cache.feed("FlowRun", api.add(raw_run()))
    queue.put(Key("FlowRun", NAMESPACE, "etl"))
    running = asyncio.create_task(reconciler.run(workers=1))
    assert await asyncio.wait_for(asked, 5) == 20
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_a_key_whose_object_is_gone_is_done():
    api, cache, queue = FakeApi(), Cache(), WorkQueue()
    reconciler = Reconciler(cache, queue, api, Actor(api, FakePrefect(), cache, None), DEFAULTS, api.now)
    await reconciler.reconcile(Key("FlowRun", NAMESPACE, "gone"))
    assert (api.writes, len(queue)) == ([], 0)


def test_the_time_is_aware_of_its_zone():
    assert utc_now().utcoffset().total_seconds() == 0
