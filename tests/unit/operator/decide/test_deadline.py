from datetime import timedelta

import pytest
from operator_testing.builders import (
    NOW,
    a_job,
    a_run,
    a_view,
    an_attempt,
    attempt_status,
    ended_pod,
    lost_pod,
    message,
)

from flowrun_operator.decide import decide_run, verdict_on
from flowrun_operator.decide.deadline import check_after_s, deadline, left_s
from flowrun_operator.decide.plan import Create, Hold
from flowrun_operator.model import Problem

KILLED = ended_pod("", 137, "Error")
LIMIT = {"activeDeadlineSeconds": 100, "retryPolicy": {"maxInfrastructureRetries": 9}}


def view_of(recorded: list[dict], *attempts, **spec):
    return a_view(*attempts, run=a_run({**LIMIT, **spec}, {"attempts": recorded} if recorded else None))


def closed(number: int, age_s: float, reason: str = "DriverKilled") -> dict:
    return attempt_status(number, reason=reason, age_s=age_s)


FIRST = [attempt_status(1, age_s=100)]
OVER = [attempt_status(1, age_s=116)]

# name, recorded attempts, attempts that exist, whether the run is ended
TABLE = [
    ("nothing has started", [], (), False),
    ("the clock starts with the Job if no status has told of it yet", [], (an_attempt(job=a_job(age_s=120)),), True),
    ("time is left", [attempt_status(1, age_s=99)], (an_attempt(),), False),
    ("the Job controller goes first, for the driver's log", FIRST, (an_attempt(),), False),
    ("but is not waited for without end", OVER, (an_attempt(),), True),
    ("a Job that is finished is nobody's to end", FIRST, (an_attempt(job=a_job(finished=True), driver=KILLED),), True),
    ("between two attempts", [closed(1, 100)], (an_attempt(driver=KILLED),), True),
    (
        "all attempts count together",
        [closed(1, 100), attempt_status(2, age_s=5)],
        (an_attempt(2, driver=KILLED),),
        True,
    ),
    ("a suspension stops the clock", [closed(1, 500, "Stopped")], (), False),
    (
        "it starts anew on resume",
        [closed(1, 500, "Stopped"), attempt_status(2, age_s=99)],
        (an_attempt(2),),
        False,
    ),
    (
        "and ends then too",
        [closed(1, 500, "Stopped"), closed(2, 120), attempt_status(3, age_s=9)],
        (an_attempt(3, driver=KILLED),),
        True,
    ),
    ("a result of the flow that came first stands", OVER, (an_attempt(driver=ended_pod(message())),), False),
    ("a node that does not answer (F21)", OVER, (an_attempt(driver=lost_pod(deleting=True)),), True),
]


@pytest.mark.parametrize(("recorded", "attempts", "ended"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE])
def test_deadline_table(recorded, attempts, ended):
    verdict = deadline(view_of(recorded, *attempts), NOW)
    assert (verdict is not None) is ended
    if ended:
        assert (verdict.outcome.reason, verdict.outcome.type, verdict.outcome.failure) == (
            "DeadlineExceeded",
            "FAILED",
            "User",
        )
        assert verdict.stop_driver


# name, recorded attempts, seconds left
LEFT = [
    ("the first attempt gets all", [], 100),
    ("a later one what is left", [closed(1, 40)], 60),
    ("at least a second: 0 would be refused", [closed(1, 100)], 1),
    ("all again after a suspension", [closed(1, 500, "Stopped")], 100),
]


@pytest.mark.parametrize(("recorded", "expected"), [r[1:] for r in LEFT], ids=[r[0] for r in LEFT])
def test_what_is_left_for_the_next_attempt(recorded, expected):
    assert left_s(view_of(recorded), NOW) == expected


def test_a_run_without_a_deadline_may_take_as_long_as_it_likes():
    view = a_view(an_attempt(), run=a_run(status={"attempts": [attempt_status(1, age_s=1e6)]}))
    assert (deadline(view, NOW), left_s(view, NOW), check_after_s(view, NOW)) == (None, None, None)


def test_F04_the_job_of_a_retry_carries_what_is_left_so_it_ends_without_the_operator():
    plan = decide_run(view_of([closed(1, 40)], an_attempt(driver=KILLED)), NOW)
    (job,) = [a.manifest for a in plan.actions if isinstance(a, Create)]
    assert job["spec"]["activeDeadlineSeconds"] == 60


def test_a_run_is_looked_at_when_its_time_is_over():
    view = view_of([closed(1, 40), closed(2, 35), closed(3, 34), closed(4, 1)], an_attempt(4, driver=KILLED))
    assert decide_run(view, NOW).requeue_after_s <= 60
    soon = view_of([closed(1, 98), closed(2, 35), closed(3, 34), closed(4, 1)], an_attempt(4, driver=KILLED))
    assert decide_run(soon, NOW).requeue_after_s == 2
    assert verdict_on(soon, NOW + timedelta(seconds=2)).outcome.reason == "DeadlineExceeded"


def test_F23_a_suspension_at_the_deadline_wins():
    assert isinstance(verdict_on(view_of(OVER, an_attempt(), suspend=True), NOW), Hold)


def test_the_message_tells_what_the_last_attempt_died_of():
    assert "DriverKilled" in deadline(view_of([closed(1, 100)], an_attempt(driver=KILLED)), NOW).outcome.message


def test_a_deadline_that_the_job_controller_enforced_ends_the_run_the_same_way():
    job = a_job(failure=Problem("DeadlineExceeded", "late"))
    verdict = verdict_on(view_of(FIRST, an_attempt(job=job)), NOW)
    assert (verdict.outcome.reason, verdict.outcome.failure) == ("DeadlineExceeded", "User")
