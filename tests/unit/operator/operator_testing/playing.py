"""Plays a scenario to its end, and lets its record's time pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from operator_testing.builders import DEFAULTS, message
from operator_testing.faults import Fault
from operator_testing.invariants import KEY, Invariants
from operator_testing.scenarios import Scenario
from operator_testing.world import World

# Longer than the period of the resync, which must mend whatever was lost.
_SETTLE_S = 150
_TTL_S = 90_000


async def play(monkeypatch: Any, scenario: Scenario, fault: Fault) -> tuple[World, Invariants]:
    """Play a scenario to its end."""
    world = World(monkeypatch, replace(DEFAULTS, prefect_api_key_set=True), KEY, fault)
    invariants = Invariants(world)
    await scenario.story(world)
    await rest(world)
    return world, invariants


async def rest(world: World) -> None:
    """Let everything come to its end: whatever driver still runs succeeds."""
    world.nodes.all_end = (message(), 0)
    world.nodes.starts = True
    await world.pass_time(_SETTLE_S + abs(world.fault.skew_s), 2)  # a slow clock waits longer


async def wipe(world: World, invariants: Invariants, scenario: Scenario) -> None:
    """Let the record's time pass, and delete what has none."""
    for cluster in world.api.of("TaskCluster"):
        if not cluster["metadata"].get("ownerReferences"):
            world.api.remove(cluster)
    world.seconds += _TTL_S
    await world.pass_time(10, 2)
    invariants.check_nothing_left(set(scenario.foreign))
