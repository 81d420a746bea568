"""Candidates over the fake API, on clocks that stand still until a test lets time pass."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from operator_testing.fake_api import FakeApi
from operator_testing.settle import settle

from flowrun_operator.election.election import Election, LeaseLostError, Terms, Unelected
from flowrun_operator.kube.errors import ApiError

NAMESPACE, NAME = "flowrun-system", "flowrun-operator"


class Candidate:
    """An operator's election, with a log of when its writes would have passed."""

    def __init__(self, place: Place, name: str) -> None:
        self.name = name
        self.paused = False
        self._place = place
        self._alarms: list[tuple[float, asyncio.Future[None]]] = []
        self.election = Election(place.api, Terms(NAMESPACE, NAME, name), place.clock, self.sleep)
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        await self.election.acquire()
        await self.election.hold()

    async def sleep(self, seconds: float) -> None:
        alarm = asyncio.get_running_loop().create_future()
        self._alarms.append((self._place.seconds + seconds, alarm))
        await alarm

    def wake(self) -> None:
        if self.paused:
            return
        due = [alarm for at, alarm in self._alarms if at <= self._place.seconds]
        self._alarms = [(at, alarm) for at, alarm in self._alarms if at > self._place.seconds]
        for alarm in due:
            if not alarm.done():
                alarm.set_result(None)

    @property
    def may_write(self) -> bool:
        with contextlib.suppress(ApiError):
            return self.election.fence() > 0
        return False

    async def kill(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def stop(self) -> None:
        await self.kill()
        await self.election.release()


class Place:
    """One API server, one time, several candidates."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.seconds = 0.0
        self.candidates: list[Candidate] = []

    def clock(self) -> float:
        return self.seconds

    async def join(self, name: str) -> Candidate:
        candidate = Candidate(self, name)
        self.candidates.append(candidate)
        await settle()
        return candidate

    async def pass_time(self, seconds: float) -> None:
        for _ in range(int(seconds * 4)):
            self.seconds += 0.25
            for candidate in self.candidates:
                candidate.wake()
            await settle()
            assert sum(candidate.may_write for candidate in self.candidates) <= 1, "two may write"

    async def until_leading(self, candidate: Candidate, limit_s: float) -> float:
        started = self.seconds
        while not candidate.may_write:
            assert self.seconds - started < limit_s, f"{candidate.name} does not lead after {limit_s} s"
            await self.pass_time(0.25)
        return self.seconds - started

    @property
    def holder(self) -> str | None:
        return self.api.objects["Lease", NAMESPACE, NAME]["spec"].get("holderIdentity")


@pytest.fixture
async def place():
    place = Place()
    yield place
    for candidate in place.candidates:
        await candidate.kill()


async def test_F05_of_two_operators_one_leads_and_stays(place):
    first, second = await place.join("a"), await place.join("b")
    for _ in range(240):
        await place.pass_time(0.5)
        assert (first.may_write, second.may_write) == (True, False)


async def test_F05_a_standby_writes_nothing(place):
    await place.join("a")
    before = len(place.api.writes)
    leader = place.candidates.pop()  # its clock stands still: it does not renew
    await place.join("b")
    await place.pass_time(14)
    assert place.api.writes[before:] == []
    await leader.kill()


async def test_F05_a_standby_takes_over_20_s_after_a_kill_at_the_latest(place):
    for moment in range(9):  # anywhere in the period of renewals
        leader, standby = await place.join(f"a{moment}"), await place.join(f"b{moment}")
        await place.until_leading(leader, 20)
        await place.pass_time(4 + moment * 0.25)
        await leader.kill()
        place.candidates.remove(leader)
        assert await place.until_leading(standby, 20) >= 12
        await standby.stop()


async def test_F05_a_standby_takes_over_at_once_after_an_orderly_stop(place):
    leader, standby = await place.join("a"), await place.join("b")
    await place.pass_time(5)
    await leader.stop()
    assert not leader.may_write
    await place.until_leading(standby, 1.25)
    assert place.holder == "b"


async def test_F05_a_container_that_is_restarted_takes_its_own_lease_up_again(place):
    leader = await place.join("a")
    await place.pass_time(5)
    await leader.kill()
    place.candidates.remove(leader)
    again = await place.join("a")
    assert again.may_write


async def test_F05_a_paused_leader_may_not_write_and_ends_when_it_is_resumed(place):
    leader, standby = await place.join("a"), await place.join("b")
    await place.pass_time(5)
    leader.paused = True
    await place.until_leading(standby, 20)
    # Resumed: what it was about to write meets the fence before its own loop has noticed anything.
    with pytest.raises(ApiError, match="NotLeading"):
        leader.election.fence()
    leader.paused = False
    await place.pass_time(0.25)
    with pytest.raises(LeaseLostError, match="not renewed within 10 s"):
        leader.task.result()
    await leader.election.release()
    assert place.holder == "b"


async def test_F05_a_write_must_be_through_before_a_standby_may_lead(place):
    leader, standby = await place.join("a"), await place.join("b")
    await place.pass_time(4)
    leader.paused = True
    ends = []
    while leader.may_write:
        ends.append(place.seconds + leader.election.fence())
        await place.pass_time(0.25)
    await place.until_leading(standby, 20)
    assert max(ends) <= place.seconds


async def test_F05_a_leaders_time_counts_from_before_its_renewal_was_sent(place):
    leader = await place.join("a")

    def slow(verb: str, kind: str, name: str) -> None:
        place.seconds += 4  # arrives at once, is answered late

    place.api.refuse = slow
    await place.pass_time(2)
    assert leader.election.fence() == 15 - 4


async def test_F05_a_leader_that_was_paused_for_a_moment_goes_on(place):
    leader, _ = await place.join("a"), await place.join("b")
    await place.pass_time(5)
    leader.paused = True
    await place.pass_time(6)
    leader.paused = False
    await place.pass_time(60)
    assert leader.may_write


async def test_F02_a_renewal_whose_response_is_lost_costs_nothing(place):
    leader = await place.join("a")
    for _ in range(3):
        place.api.lose_response_of = len(place.api.writes) + 1
        await place.pass_time(8)
        assert leader.may_write
    assert place.api.objects["Lease", NAMESPACE, NAME]["spec"]["leaseTransitions"] == 0


async def test_F02_an_acquisition_whose_response_is_lost_is_found_out(place):
    place.api.lose_response_of = 1
    first, second = await place.join("a"), await place.join("b")
    await place.pass_time(2)
    assert (first.may_write, second.may_write) == (True, False)


async def test_F05_an_acquisition_that_is_cut_off_by_a_stop_is_given_back(place):
    place.api.lose_response_of = 1
    stopped = await place.join("a")
    assert place.holder == "a"
    await stopped.stop()
    assert place.holder is None


async def test_F12_a_leader_that_cannot_renew_stops_in_time_and_leads_again_later(place):
    leader = await place.join("a")
    place.api.refuse = lambda verb, kind, name: ApiError(503, "ServiceUnavailable", "etcd")
    await place.pass_time(10.25)
    assert not leader.may_write
    await place.pass_time(2)
    assert isinstance(leader.task.exception(), LeaseLostError)
    place.api.refuse = lambda verb, kind, name: None
    restarted = await place.join("a")
    assert restarted.may_write


async def test_F05_a_lease_that_is_cleared_by_hand_ends_the_leader(place):
    leader, standby = await place.join("a"), await place.join("b")
    await place.pass_time(4)
    place.api.change("Lease", NAMESPACE, NAME, lambda raw: raw["spec"].pop("holderIdentity"))
    leader.paused = True  # or the two would be leading for the moment until the next renewal
    place.seconds += 11
    await place.until_leading(standby, 2)
    leader.paused = False
    await place.pass_time(2)
    assert isinstance(leader.task.exception(), LeaseLostError)


async def test_F05_a_lease_that_is_deleted_by_hand_stays_with_its_leader(place):
    leader, standby = await place.join("a"), await place.join("b")
    await place.pass_time(4)
    place.api.remove(place.api.objects["Lease", NAMESPACE, NAME])
    await place.pass_time(30)
    assert (leader.may_write, standby.may_write, place.holder) == (True, False, "a")


async def test_F13_without_the_right_to_use_the_lease_nobody_leads_until_it_is_granted(place):
    place.api.refuse = lambda verb, kind, name: ApiError(403, "Forbidden", "leases is forbidden")
    candidate = await place.join("a")
    await place.pass_time(60)
    assert (candidate.may_write, candidate.election.forbidden) == (False, True)
    place.api.refuse = lambda verb, kind, name: None
    await place.pass_time(2)
    assert (candidate.may_write, candidate.election.forbidden) == (True, False)


async def test_without_an_election_every_write_passes():
    alone = Unelected()
    await alone.acquire()
    assert alone.leading
    assert min(15.0, alone.fence()) == 15.0
