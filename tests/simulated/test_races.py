"""Faults within the second in which something is under way."""

from operator_testing.builders import NAMESPACE, message
from operator_testing.faults import Lagging
from operator_testing.invariants import Invariants
from operator_testing.world import World


async def test_F14_a_job_deleted_before_its_attempt_is_recorded_is_not_made_anew(monkeypatch):
    world = World(monkeypatch)
    invariants = Invariants(world)
    world.apply()
    await world.work()
    world.api.terminate(world.api.objects["Job", NAMESPACE, "etl-1"])
    await world.pass_time(5)
    assert invariants.broken == []


async def test_F06_a_flow_that_failed_while_the_pods_lagged_is_not_run_again(monkeypatch):
    world = World(monkeypatch, fault=Lagging(-1, seconds=8.0))
    world.fault._kind = "Pod"
    world.apply(retryPolicy={"maxInfrastructureRetries": 1})
    await world.work()
    world.nodes.all_end = (message("FAILED", "FlowFailed"), 1)
    await world.pass_time(30)
    assert [(a["number"], a["reason"]) for a in world.status["attempts"]] == [(1, "FlowFailed")]
