import asyncio

import pytest
from operator_testing.builders import NAMESPACE
from operator_testing.settle import settle
from operator_testing.world import World

from flowrun_operator.kube.errors import ApiError
from flowrun_operator.loop import resync
from flowrun_operator.wiring import keys_of


@pytest.fixture
def world(monkeypatch) -> World:
    monkeypatch.setattr(resync, "_PERIOD_S", 0)
    return World(monkeypatch)


async def resync_some_times(world: World, namespaces: list[str]) -> None:
    task = asyncio.create_task(resync.resync_forever(world.api, world.cache, world.queue, namespaces, keys_of))
    await settle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("namespaces", [[], [NAMESPACE]])
async def test_F07_a_deletion_that_no_watch_told_of_is_noticed(world, namespaces):
    world.apply()
    await world.work()
    await world.pass_time(5)
    listeners, world.api.listeners = world.api.listeners, []
    world.api.remove(world.api.objects["Service", NAMESPACE, "etl-1-default"])
    world.api.listeners = listeners
    await world.work()
    assert world.api.names("Service") == []
    await resync_some_times(world, namespaces)
    await world.work()
    assert world.api.names("Service") == ["etl-1-default"]


async def test_F07_a_change_that_no_watch_told_of_is_noticed(world):
    world.apply()
    await world.work()
    world.api.listeners = []
    world.set_spec(cancel=True)
    await resync_some_times(world, [])
    await world.work()
    assert world.status["state"] == "Cancelled"


async def test_other_namespaces_are_left_alone(world):
    world.apply()
    await world.work()
    await resync_some_times(world, ["elsewhere"])
    assert world.cache.get("FlowRun", NAMESPACE, "etl") is not None


@pytest.mark.parametrize("error", [ApiError(500, "", "etcd"), RuntimeError("unexpected")])
async def test_F08_a_resync_that_fails_is_tried_again(world, error):
    calls = []
    works = world.api.list

    async def list_(kind: str, namespace: str = "", **query: str) -> dict:
        calls.append(kind)
        if len(calls) == 1:
            raise error
        return await works(kind, namespace, **query)

    world.api.list = list_
    await resync_some_times(world, [])
    assert len(calls) > 1
