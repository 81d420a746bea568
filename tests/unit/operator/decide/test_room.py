"""Whether there is room for one more run."""

from __future__ import annotations

from fractions import Fraction

import pytest
from operator_testing.builders import DASK_CLUSTER, NOW, a_run, a_view

from flowrun_operator.decide import decide_run, verdict_on
from flowrun_operator.decide.plan import Await, LookAtRoom, Measure, StartAttempt
from flowrun_operator.decide.room import need
from flowrun_operator.model import Room

CPU = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
RUN = a_run(
    {
        "driver": {"resources": CPU},
        "clusters": [{**DASK_CLUSTER, "workers": {"replicas": 4, "resources": CPU}}],
    }
)


def test_what_a_run_takes_is_counted_as_quotas_count_it() -> None:
    found = need(a_view(run=RUN))
    assert (found["pods"], found["requests.cpu"], found["cpu"]) == (5, Fraction(5, 2), Fraction(5, 2))
    assert (found["requests.memory"], found["limits.memory"]) == (5 * 2**30, 10 * 2**30)
    later = {**DASK_CLUSTER, "activation": "OnDemand"}
    clusters = [DASK_CLUSTER, {**later, "name": "a", "workers": {"replicas": 4}}, {**later, "name": "b"}]
    assert need(a_view(run=a_run({"clusters": clusters})))["pods"] == 1 + 2 + 4


def test_nobody_starts_before_somebody_has_looked() -> None:
    view = a_view(run=RUN, room=None)
    assert verdict_on(view, NOW) == Measure()
    assert decide_run(view, NOW).actions == (LookAtRoom(),)


@pytest.mark.parametrize(
    ("room", "starts"),
    [
        (Room(), True),
        (Room({"pods": Fraction(5)}, others=3), True),
        (Room({"pods": Fraction(4)}, others=1), False),
        (Room({"pods": Fraction(9), "requests.cpu": Fraction(2)}, others=1), False),
        (Room({"pods": Fraction(4)}, others=0), True),
        (Room({"pods": Fraction(-1)}, others=0), True),
        (Room({"pods": Fraction(9)}, others=0, ahead="older"), False),
    ],
)
def test_it_starts_with_room_for_all_of_it_or_alone_and_in_its_turn(room: Room, starts: bool) -> None:
    verdict = verdict_on(a_view(run=RUN, room=room), NOW)
    assert isinstance(verdict, StartAttempt if starts else Await)


def test_it_says_what_it_waits_for() -> None:
    room = Room({"pods": Fraction(3), "requests.cpu": Fraction(9)}, others=2)
    status = decide_run(a_view(run=RUN, room=room), NOW).status
    (succeeded,) = [c for c in status.conditions if c.type == "Succeeded"]
    assert succeeded.reason == "Queued"
    assert succeeded.message.endswith("has no room for all of it: pods: 5 wanted, 3 left")
    behind = decide_run(a_view(run=RUN, room=Room({"pods": Fraction(3)}, ahead="first")), NOW)
    assert "first, which is older, waits for room" in behind.status.conditions[0].message
    assert behind.requeue_after_s == 2
