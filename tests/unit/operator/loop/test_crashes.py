"""F01 and F02, exhaustively: the operator dies after every single write, or a response is lost."""

import pytest
from operator_testing.builders import DASK_CLUSTER, message
from operator_testing.stories import cancel_midway, end_state, never_start, play, suspend_and_resume
from operator_testing.world import World


async def count_writes(monkeypatch, **scenario) -> tuple[int, dict]:
    world = World(monkeypatch)
    await play(world, **scenario)
    return len(world.api.writes), end_state(world)


SCENARIOS = {
    "success": {},
    "a flow that fails": {"end": message("FAILED", "FlowFailed"), "exit_code": 1},
    "a killed driver with a retry": {
        "end": "",
        "exit_code": 137,
        "retryPolicy": {"maxInfrastructureRetries": 1},
    },
    "a killed driver": {"end": "", "exit_code": 137},
    "two clusters": {"clusters": [DASK_CLUSTER, {**DASK_CLUSTER, "name": "wide"}]},
    "cancelled from the start": {"cancel": True},
    "Ray on demand": {"clusters": [DASK_CLUSTER, {"name": "gpu", "engine": "Ray", "activation": "OnDemand"}]},
    "Ray on demand, killed, with a retry": {
        "clusters": [{"name": "gpu", "engine": "Ray", "activation": "OnDemand"}],
        "end": "",
        "exit_code": 137,
        "retryPolicy": {"maxInfrastructureRetries": 1},
    },
}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_F01_a_crash_after_any_write_leads_to_the_same_end(monkeypatch, name):
    total, expected = await count_writes(monkeypatch, **SCENARIOS[name])
    for k in range(total):
        world = World(monkeypatch)
        world.api.crash_after = k
        await play(world, **SCENARIOS[name])
        assert world.crashes == 1, f"no crash after write {k}"
        assert end_state(world) == expected, f"crash after write {k}: {world.api.writes}"
        drivers = [w for w in world.api.writes if w.startswith("create Job")]
        assert len(drivers) == len(set(drivers)), "two Jobs for one attempt"


@pytest.mark.parametrize("name", SCENARIOS)
async def test_F02_a_write_whose_response_is_lost_leads_to_the_same_end(monkeypatch, name):
    total, expected = await count_writes(monkeypatch, **SCENARIOS[name])
    for k in range(1, total + 1):
        world = World(monkeypatch)
        world.api.lose_response_of = k
        await play(world, **SCENARIOS[name])
        assert end_state(world) == expected, f"response of write {k} lost: {world.api.writes}"


@pytest.mark.parametrize("story", [cancel_midway, never_start, suspend_and_resume])
async def test_F01_a_story_that_crashes_after_any_write_leads_to_the_same_end(monkeypatch, story):
    clean = World(monkeypatch)
    await story(clean)
    assert clean.errors == []
    for k in range(len(clean.api.writes)):
        world = World(monkeypatch)
        world.api.crash_after = k
        await story(world)
        assert world.crashes == 1
        assert end_state(world) == end_state(clean), f"crash after write {k}: {world.api.writes}"
