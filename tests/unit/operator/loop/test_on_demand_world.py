"""A cluster that its driver scales, over the in-memory API server."""

import pytest
from operator_testing.builders import DASK_CLUSTER, NAMESPACE
from operator_testing.stories import end_state, play_on

from flowrun_operator.kube.errors import ApiError

GPU = {"name": "gpu", "engine": "Ray", "activation": "OnDemand", "workers": {"replicas": 2}}
ELASTIC = {**DASK_CLUSTER, "name": "wide", "workers": {"minReplicas": 1, "maxReplicas": 4}}


def scale(world, name, replicas):
    world.api.change("TaskCluster", NAMESPACE, name, lambda raw: raw["spec"]["workers"].update(replicas=replicas))


def workers(world, name):
    return [pod for pod in world.api.names("Pod") if pod.startswith(f"{name}-w-")]


async def start(world, *clusters):
    world.apply(clusters=list(clusters))
    await world.work()
    await world.pass_time(5)


async def test_everything_that_the_driver_needs_is_there_before_its_job(world):
    await start(world, GPU)
    created = [w.split()[1] for w in world.api.writes if w.startswith("create")]
    assert set(created[:4]) == {"Secret", "ServiceAccount", "Role", "RoleBinding"}
    assert created[4:] == ["Job", "TaskCluster", "Service"]


async def test_no_pod_before_it_is_needed_and_none_after_it(world):
    await start(world, DASK_CLUSTER, GPU)
    assert workers(world, "etl-1-gpu") == []
    assert world.condition("ClustersReady")["status"] == "True"
    scale(world, "etl-1-gpu", 2)
    await world.pass_time(5)
    assert workers(world, "etl-1-gpu") == ["etl-1-gpu-w-0", "etl-1-gpu-w-1"]
    assert world.status["workers"] == "4/4"
    scale(world, "etl-1-gpu", 0)
    await world.pass_time(5)
    assert workers(world, "etl-1-gpu") == []
    assert world.status["workers"] == "2/2"


async def test_nobody_reverts_what_the_driver_asks_for(world):
    await start(world, ELASTIC)
    assert len(workers(world, "etl-1-wide")) == 1
    scale(world, "etl-1-wide", 4)
    await world.pass_time(30)
    assert len(workers(world, "etl-1-wide")) == 4


async def test_a_lowered_number_waits_for_workers_that_were_told_to_leave(world):
    await start(world, ELASTIC)
    scale(world, "etl-1-wide", 3)
    await world.pass_time(5)
    scale(world, "etl-1-wide", 2)
    await world.pass_time(5)
    assert len(workers(world, "etl-1-wide")) == 3, "none was told to leave"
    ended = {"exitCode": 0, "reason": "Completed"}
    status = {"phase": "Succeeded", "containerStatuses": [{"name": "flowrun", "state": {"terminated": ended}}]}
    world.api.change("Pod", NAMESPACE, "etl-1-wide-w-0", lambda raw: raw.update(status=status))
    await world.pass_time(15)
    assert workers(world, "etl-1-wide") == ["etl-1-wide-w-1", "etl-1-wide-w-2"]
    assert world.api.of("TaskCluster")[0]["status"]["lostWorkers"] == 0


async def test_nothing_is_left_but_record_and_log(world):
    await start(world, DASK_CLUSTER, GPU)
    await play_on(world)
    assert end_state(world)["children"] == []
    assert world.errors == []


@pytest.mark.parametrize("kind", ["Secret", "ServiceAccount", "Role", "RoleBinding"])
async def test_F13_no_driver_starts_without_what_it_needs(world, kind):
    world.api.refuse = lambda verb, k, name: ApiError(403, "Forbidden", "no right") if k == kind else None
    await start(world, GPU)
    assert world.api.names("Job") == []
    assert world.condition("DriverRunning")["reason"] == "Forbidden"
    world.api.refuse = lambda *_: None
    await world.pass_time(20)
    assert world.api.names("Job") == ["etl-1"]


async def test_F15_a_foreign_account_of_that_name_is_not_used(world):
    name = "etl-1-driver-uid-1"  # the fake API server's first uid
    world.api.add({"kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE, "uid": "foreign"}})
    await start(world, GPU)
    assert world.api.names("Job") == []
    assert world.condition("DriverRunning")["reason"] == "NameConflict"


async def test_the_token_is_random_and_stays_the_first_one(world):
    await start(world, GPU)
    (secret,) = world.api.of("Secret")
    token = secret["stringData"]["token"]
    assert len(token) >= 32
    world.start_operator()
    await world.work()
    assert world.api.of("Secret")[0]["stringData"]["token"] == token
