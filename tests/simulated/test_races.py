"""Faults within the second in which something is under way."""

import pytest
from operator_testing.builders import NAMESPACE, message
from operator_testing.faults import Lagging, conflict
from operator_testing.invariants import Invariants
from operator_testing.world import World


def every_status(verb, kind, name):
    return conflict() if (verb, kind) == ("patch", "FlowRun") else None


def nothing(verb, kind, name):
    return None


async def test_F14_a_job_deleted_before_its_attempt_is_recorded_is_not_made_anew(monkeypatch):
    world = World(monkeypatch)
    invariants = Invariants(world)
    world.apply()
    await world.work()
    world.api.terminate(world.api.objects["Job", NAMESPACE, "etl-1"])
    await world.pass_time(5)
    assert invariants.broken == []


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("lives_s", [0.0, 1.0], ids=["before its pod", "after its pod"])
async def test_F14_a_job_deleted_while_its_attempt_can_not_be_recorded_is_not_made_anew(monkeypatch, lives_s, retries):
    world = World(monkeypatch)
    invariants = Invariants(world)
    world.apply(retryPolicy={"maxInfrastructureRetries": retries})
    world.api.refuse = every_status
    await world.work()
    await world.pass_time(lives_s)
    world.api.terminate(world.api.objects["Job", NAMESPACE, "etl-1"])
    await world.pass_time(5)
    assert not world.status.get("attempts")
    world.api.refuse = nothing
    world.nodes.end_driver(2)
    await world.pass_time(40)
    assert invariants.broken == []
    ends = [(1, "DriverDeleted"), (2, "FlowCompleted")]
    assert [(a["number"], a["reason"]) for a in world.status["attempts"]] == ends[: 1 + retries]


async def test_F14_a_job_deleted_while_the_operator_is_away_is_not_made_anew_if_its_driver_is_seen(monkeypatch):
    world = World(monkeypatch)
    invariants = Invariants(world)
    world.apply()
    world.api.refuse = every_status
    await world.pass_time(1)
    world.stop_operator()
    world.api.terminate(world.api.objects["Job", NAMESPACE, "etl-1"])
    world.nodes.collect()
    world.api.refuse = nothing
    world.start_operator()
    await world.pass_time(5)
    assert invariants.broken == []
    assert [(a["number"], a["reason"]) for a in world.status["attempts"]] == [(1, "DriverDeleted")]


async def test_F23_a_suspended_attempt_is_recorded_before_its_job_goes(monkeypatch):
    world = World(monkeypatch)
    invariants = Invariants(world)
    world.apply()
    world.api.refuse = every_status
    await world.pass_time(1)
    world.set_spec(suspend=True)
    await world.pass_time(2)
    assert world.api.names("Job") == ["etl-1"]
    world.api.refuse = nothing
    await world.pass_time(10)
    world.start_operator()
    assert world.api.names("Job") == []
    world.set_spec(suspend=False)
    await world.pass_time(10)
    assert invariants.broken == []
    assert world.api.names("Job") == ["etl-2"]


async def test_F06_a_flow_that_failed_while_the_pods_lagged_is_not_run_again(monkeypatch):
    world = World(monkeypatch, fault=Lagging(-1, seconds=8.0))
    world.fault._kind = "Pod"
    world.apply(retryPolicy={"maxInfrastructureRetries": 1})
    await world.work()
    world.nodes.all_end = (message("FAILED", "FlowFailed"), 1)
    await world.pass_time(30)
    assert [(a["number"], a["reason"]) for a in world.status["attempts"]] == [(1, "FlowFailed")]
