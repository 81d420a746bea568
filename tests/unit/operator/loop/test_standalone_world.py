"""A standalone TaskCluster over the in-memory API server: start, idle end, scaling, loss of its coordinator."""

import pytest
from operator_testing.builders import NAMESPACE, raw_run

IDLE = '{"reason": "Idle"}'


@pytest.fixture
async def lab(world):
    add(world)
    await world.work()
    await world.pass_time(5)
    return world


def add(world, **spec):
    given = {"engine": "Dask", "workers": {"replicas": 2, "threads": 1}, "idleAction": "Park", **spec}
    world.api.add(
        {
            "apiVersion": "flowrun.dev/v1alpha1",
            "kind": "TaskCluster",
            "metadata": {"name": "lab", "namespace": NAMESPACE},
            "spec": given,
        }
    )


def scale(world, replicas):
    world.api.change("TaskCluster", NAMESPACE, "lab", lambda raw: raw["spec"]["workers"].update(replicas=replicas))


def pods(world):
    return world.api.names("Pod")


def ready(world):
    (condition,) = world.api.of("TaskCluster")[0]["status"]["conditions"]
    return condition["status"], condition["reason"]


ALL = ["lab-coordinator", "lab-w-0", "lab-w-1"]


async def test_apply_is_enough(lab):
    assert (pods(lab), lab.api.names("Service")) == (ALL, ["lab"])
    assert ready(lab) == ("True", "AllWorkersReady")
    assert lab.errors == []


async def test_it_comes_to_rest(lab):
    await lab.pass_time(5)
    lab.api.writes.clear()
    await lab.pass_time(60)
    assert lab.api.writes == []


async def test_an_idle_cluster_is_parked_and_comes_back_when_it_is_scaled(lab):
    lab.nodes.end_driver("lab", IDLE)
    await lab.pass_time(10)
    assert (pods(lab), ready(lab)) == ([], ("False", "Parked"))
    assert lab.api.of("TaskCluster")[0]["spec"]["workers"]["replicas"] == 0
    scale(lab, 1)
    await lab.work()
    await lab.pass_time(5)
    assert (pods(lab), ready(lab)) == (["lab-coordinator", "lab-w-0"], ("True", "AllWorkersReady"))


async def test_an_idle_cluster_is_deleted_with_all_its_children(world):
    add(world, idleAction="Delete", engine="Ray")
    await world.work()
    await world.pass_time(5)
    assert len(world.api.names("Secret")) == 1
    world.nodes.end_driver("lab", IDLE)
    await world.pass_time(10)
    assert {key[0] for key in world.api.objects} == set()


async def test_a_lost_coordinator_is_replaced_with_its_workers(lab):
    before = {p["metadata"]["uid"] for p in lab.api.of("Pod")}
    lab.nodes.end_driver("lab", "", 137)
    await lab.pass_time(15)
    after = {p["metadata"]["uid"] for p in lab.api.of("Pod")}
    assert (len(after), before & after) == (3, set())
    assert ready(lab) == ("True", "AllWorkersReady")
    assert lab.api.of("TaskCluster")[0]["status"]["lostCoordinators"] == 1


async def test_scaling_changes_the_number_of_workers_and_zero_parks(lab):
    scale(lab, 4)
    await lab.pass_time(5)
    assert len(pods(lab)) == 5
    scale(lab, 1)
    await lab.pass_time(5)
    assert pods(lab) == ["lab-coordinator", "lab-w-0"]
    scale(lab, 0)
    await lab.pass_time(5)
    assert pods(lab) == []


async def test_a_run_of_the_same_name_does_it_no_harm(lab):
    run = raw_run("lab")
    run["metadata"].pop("uid")
    lab.api.add(run)
    await lab.work()
    await lab.pass_time(5)
    lab.api.change("FlowRun", NAMESPACE, "lab", lambda raw: raw["spec"].update(cancel=True))
    await lab.pass_time(10)
    assert set(ALL) <= set(pods(lab))
    assert ready(lab) == ("True", "AllWorkersReady")


async def test_F01_a_crash_while_it_is_parked_leads_to_the_same_end(monkeypatch):
    from operator_testing.world import World

    async def park(world):
        add(world)
        await world.work()
        await world.pass_time(5)
        world.nodes.end_driver("lab", IDLE)
        await world.pass_time(15)

    clean = World(monkeypatch)
    await park(clean)
    for k in range(len(clean.api.writes)):
        world = World(monkeypatch)
        world.api.crash_after = k
        await park(world)
        assert world.crashes == 1
        assert (pods(world), ready(world)) == ([], ("False", "Parked")), f"crash after write {k}: {world.api.writes}"
