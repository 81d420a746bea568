"""Every scenario, with every fault, at every point where it can strike.

Two families of points differ little from one to the next: of those every third is tried, all with FLOWRUN_ALL_FAULTS=1
(`make fault-matrix`).
"""

import os

import aiohttp
import pytest
from operator_testing.faults import (
    SERVER_ERRORS,
    Broken,
    Dropped,
    Killed,
    Lagging,
    LostResponse,
    PrefectDown,
    Refused,
    RefusedRead,
    Replaced,
    Skewed,
    Throttled,
    TwoOperators,
    by_a_later_version,
    by_an_earlier_version,
    conflict,
    forbidden,
    too_many,
)
from operator_testing.scenarios import SCENARIOS

every_scenario = pytest.mark.parametrize("name", SCENARIOS)


_STRIDE = 1 if os.environ.get("FLOWRUN_ALL_FAULTS") else 3


def count(number: int, stride: int = 1) -> range:
    return range(1, number + 1, stride)


_ABOUT = {
    "cancelled": "F24",
    "suspended": "F23",
    "deleted": "F25",
    "a lost worker": "F22",
    "a quota": "F16",
    "a foreign": "F15",
    "a killed driver": "F20",
    "a standalone cluster that loses": "F20",
}


def with_fault(name: str) -> str:
    """Return the id of a scenario that is about a fault itself."""
    return next((f"{fault} {name}" for start, fault in _ABOUT.items() if name.startswith(start)), name)


@pytest.mark.parametrize("name", SCENARIOS, ids=with_fault)
async def test_a_scenario_ends_as_it_should(reference, name):
    await reference(name)


@every_scenario
async def test_F01_an_operator_killed_after_any_write_comes_to_the_same_end(simulate, reference, name):
    writes = (await reference(name)).writes
    await simulate(name, [Killed(k) for k in range(writes + 1)])


@every_scenario
async def test_F02_a_write_whose_answer_is_lost_comes_to_the_same_end(simulate, reference, name):
    await simulate(name, [LostResponse(k) for k in count((await reference(name)).writes)])


@every_scenario
async def test_F04_an_operator_away_for_long_after_any_write_catches_up(simulate, reference, name):
    writes = (await reference(name)).writes
    await simulate(name, [Killed(k, downtime_s=40) for k in range(writes + 1)], delays=True)


@every_scenario
async def test_F05_two_operators_at_once_come_to_the_same_end(simulate, name):
    await simulate(name, [TwoOperators()])


@every_scenario
async def test_F06_an_operator_that_starts_from_an_old_list_does_no_harm(simulate, reference, name):
    writes = (await reference(name)).writes
    await simulate(name, [Killed(k, stale=lacks) for k in count(writes, _STRIDE) for lacks in (1, 4, 12)], delays=True)


@every_scenario
async def test_F06_a_watch_that_lags_behind_does_no_harm(simulate, reference, name):
    events = (await reference(name)).events
    await simulate(name, [Lagging(n) for n in count(events, _STRIDE)], delays=True)


@every_scenario
async def test_F07_any_lost_or_folded_event_is_made_good_by_the_resync(simulate, reference, name):
    events = (await reference(name)).events
    await simulate(name, [Dropped(n) for n in count(events)], delays=True)


@every_scenario
async def test_F08_watches_that_break_and_list_anew_miss_nothing_for_long(simulate, reference, name):
    events = (await reference(name)).events
    await simulate(name, [Broken(n) for n in count(events)], delays=True)


@every_scenario
async def test_F10_a_conflict_on_any_write_is_decided_anew(simulate, reference, name):
    await simulate(name, [Refused(k, conflict()) for k in count((await reference(name)).writes)])


@every_scenario
async def test_F11_a_write_that_meets_a_throttled_server_is_repeated(simulate, reference, name):
    await simulate(name, [Refused(k, too_many()) for k in count((await reference(name)).writes)])


@every_scenario
async def test_F11_a_write_is_not_repeated_before_the_time_that_a_throttled_server_names(simulate, reference, name):
    faults = [Throttled(k) for k in count((await reference(name)).writes)]
    await simulate(name, faults, delays=True)
    assert [fault.too_early for fault in faults if fault.too_early] == []


@every_scenario
async def test_F12_a_write_that_the_server_fails_is_repeated(simulate, reference, name):
    writes = (await reference(name)).writes
    await simulate(name, [Refused(k, error()) for k in count(writes) for error in SERVER_ERRORS])


@every_scenario
async def test_F12_a_read_that_the_server_fails_is_repeated(simulate, reference, name):
    reads = (await reference(name)).reads
    await simulate(name, [RefusedRead(k, SERVER_ERRORS[k % 3]()) for k in count(reads)])


@every_scenario
async def test_F13_a_right_that_is_missing_for_one_write_holds_nothing_up_for_long(simulate, reference, name):
    writes = (await reference(name)).writes
    await simulate(name, [Refused(k, forbidden()) for k in count(writes)], delays=True)


@pytest.mark.parametrize("skew_s", [-300, 300], ids=["5 min slow", "5 min fast"])
@every_scenario
async def test_F27_a_wrong_clock_of_the_operator_changes_no_end(simulate, name, skew_s):
    await simulate(name, [Skewed(skew_s)], delays=True)


@every_scenario
async def test_F28_a_run_ends_without_prefect_which_is_told_when_it_is_back(simulate, name):
    errors = (lambda: aiohttp.ClientConnectionError("down"), TimeoutError, lambda: ValueError("401"))
    await simulate(name, [PrefectDown(error) for error in errors])


@pytest.mark.parametrize("version", [by_a_later_version, by_an_earlier_version], ids=["downgrade", "upgrade"])
@every_scenario
async def test_F29_another_version_that_takes_over_at_any_write_starts_nothing_anew(simulate, reference, name, version):
    writes = (await reference(name)).writes
    await simulate(name, [Replaced(k, stored=version) for k in range(writes + 1)], delays=True)
