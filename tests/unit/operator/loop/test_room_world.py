"""Runs that want more room than a namespace's quota has: they take turns, and none waits for another for ever."""

from __future__ import annotations

import pytest
from operator_testing.builders import DASK_CLUSTER, message, raw_run
from operator_testing.scenarios import ENV, FLOW
from operator_testing.world import World

from flowrun_operator.observe.fields import at, label


def apply(world: World, name: str, workers: int) -> None:
    cluster = {**DASK_CLUSTER, "workers": {"replicas": workers}}
    run = raw_run(name, spec={**FLOW, **ENV, "clusters": [cluster]})
    run["metadata"].pop("uid")
    world.api.add(run)


def reason(world: World, name: str) -> str | None:
    (run,) = [run for run in world.api.of("FlowRun") if run["metadata"]["name"] == name]
    found = [c for c in at(run, "status", "conditions") or [] if c["type"] == "Succeeded"]
    return found[0]["reason"] if found else None


def drivers(world: World) -> list[str]:
    """Return the runs whose driver runs and has a worker to work with."""
    running = [pod for pod in world.api.of("Pod") if at(pod, "status", "phase") == "Running"]
    with_worker = {label(pod, "flowrun.dev/run") for pod in running if label(pod, "flowrun.dev/role") == "worker"}
    return sorted(
        label(pod, "flowrun.dev/run")
        for pod in running
        if label(pod, "flowrun.dev/role") == "driver" and label(pod, "flowrun.dev/run") in with_worker
    )


async def finish(world: World, name: str) -> None:
    """End a run's driver as its flow does."""
    (pod,) = [
        pod
        for pod in world.api.of("Pod")
        if label(pod, "flowrun.dev/run") == name and label(pod, "flowrun.dev/role") == "driver"
    ]
    world.nodes._end(pod, message(), 0)
    await world.pass_time(8)
    assert reason(world, name) == "FlowCompleted"


async def test_two_runs_that_have_no_room_side_by_side_run_one_after_the_other(world: World) -> None:
    world.api.pods_allowed = 6
    for name in ("one", "two"):
        apply(world, name, workers=4)
    await world.pass_time(20)
    assert drivers(world) == ["one"]
    assert world.api.live_pods() == 5
    assert reason(world, "two") == "Queued"
    await finish(world, "one")
    await world.pass_time(20)
    assert drivers(world) == ["two"]
    await finish(world, "two")


async def test_runs_larger_than_the_quota_run_alone_with_the_workers_that_find_room(world: World) -> None:
    world.api.pods_allowed = 4
    names = [f"run-{number}" for number in range(8)]
    for name in names:
        apply(world, name, workers=6)
        world.seconds += 1  # their age is their turn
    for name in names:
        await world.pass_time(30)
        assert drivers(world) == [name]
        assert world.api.live_pods() == 4
        await finish(world, name)


async def test_runs_that_fit_side_by_side_start_together(world: World) -> None:
    world.api.pods_allowed = 10
    for name in ("one", "two", "three"):
        apply(world, name, workers=4)
    await world.pass_time(20)
    assert len(drivers(world)) == 2
    assert sorted(str(reason(world, name)) for name in ("one", "two", "three")) == ["Queued", "Running", "Running"]


async def test_without_a_quota_all_start_at_once_and_nobody_asks_for_each(world: World) -> None:
    for number in range(5):
        apply(world, f"run-{number}", workers=2)
    await world.pass_time(10)
    assert len(drivers(world)) == 5
    assert sum(request.kind == "ResourceQuota" for request in world.api.requests) <= 5
    before = len(world.api.requests)
    await world.pass_time(20)
    assert not [r for r in world.api.requests[before:] if r.kind == "ResourceQuota"]


async def test_a_queued_run_can_be_cancelled(world: World) -> None:
    world.api.pods_allowed = 4
    for name in ("one", "two"):
        apply(world, name, workers=3)
    await world.pass_time(10)
    waiting = "two" if reason(world, "two") == "Queued" else "one"
    namespace = world.api.of("FlowRun")[0]["metadata"]["namespace"]
    world.api.change("FlowRun", namespace, waiting, lambda raw: raw["spec"].update(cancel=True))
    await world.pass_time(10)
    assert reason(world, waiting) == "Cancelled"


async def test_workers_give_way_to_a_driver_that_finds_no_room(world: World) -> None:
    """Somebody else's pods take the room just when the driver's is to be made."""
    world.nodes.starts = False
    apply(world, "one", workers=3)
    await world.pass_time(1)
    for pod in [pod for pod in world.api.of("Pod") if label(pod, "flowrun.dev/role") == "driver"]:
        world.nodes._had_pod.clear()
        world.api.remove(pod)
    world.api.pods_allowed = 3  # the workers alone
    await world.pass_time(20)
    roles = [label(pod, "flowrun.dev/role") for pod in world.api.of("Pod")]
    assert "driver" in roles
    world.nodes.starts = True
    await world.pass_time(20)
    assert drivers(world) == ["one"]


@pytest.mark.parametrize("error", [403, 500])
async def test_quotas_that_cannot_be_read_hold_nothing_up(world: World, error: int) -> None:
    from flowrun_operator.kube.errors import ApiError

    plain = world.api._list

    def refused(kind: str, namespace: str, query: dict[str, str]) -> dict:
        if kind == "ResourceQuota":
            raise ApiError(error, "Forbidden", "may not list resourcequotas")
        return plain(kind, namespace, query)

    world.api._list = refused  # type: ignore[method-assign]
    apply(world, "one", workers=2)
    await world.pass_time(10)
    assert drivers(world) == ["one"]
