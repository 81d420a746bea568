"""Runs a scenario with a fault at one point and asks the oracle."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable

import pytest
from operator_testing.faults import Fault
from operator_testing.invariants import PrivateLogs, Reference
from operator_testing.playing import play, wipe
from operator_testing.scenarios import SCENARIOS

_references: dict[str, Reference] = {}

Simulate = Callable[[str, Iterable[Fault]], Awaitable[None]]


@pytest.fixture
def reference(monkeypatch):
    async def of(name: str) -> Reference:
        if name not in _references:
            world, invariants = await play(monkeypatch, SCENARIOS[name], Fault())
            _references[name] = Reference(world)
            await invariants.check_rest(_references[name])
            await wipe(world, invariants, SCENARIOS[name])
            assert invariants.broken == []
        return _references[name]

    return of


@pytest.fixture
def simulate(monkeypatch, reference, record_property):
    """Return a function that plays a scenario once for each fault; `exact` may be overruled for a fault that delays."""

    async def simulate(name: str, faults: Iterable[Fault], *, delays: bool = False) -> None:
        clean = await reference(name)
        scenario = SCENARIOS[name]
        tries, slowest = 0, 0.0
        broken: list[str] = []
        for fault in faults:
            world, invariants = await play(monkeypatch, scenario, fault)
            await invariants.check_rest(clean if scenario.exact or not delays else None, race=scenario.race)
            invariants.check_writes(clean)
            await wipe(world, invariants, scenario)
            assert fault.struck or not fault.must_strike, f"{fault} did not strike"
            broken += [f"{fault}: {what}" for what in invariants.broken]
            tries += 1
            slowest = max(slowest, invariants.time_to_clean_s or 0.0)
        record_property("tries", tries)
        record_property("clean_s", slowest)
        assert not broken, "\n".join(broken)

    return simulate


@pytest.fixture(autouse=True)
def private_logs():
    """I5: no log line of any simulated run tells a private value."""
    handler, logger = PrivateLogs(), logging.getLogger("flowrun_operator")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)
    assert handler.found == []
