import pytest
from operator_testing.builders import (
    NOW,
    a_job,
    a_run,
    a_view,
    an_attempt,
    attempt_status,
    ended_pod,
    finished_status,
    message,
)

from flowrun_operator.decide import decide_run, verdict_on
from flowrun_operator.decide.plan import Create, Delete, DeleteWorkers, Hold, Settle
from flowrun_operator.decide.suspension import suspension

SUSPEND = {"suspend": True}


def test_a_run_that_is_not_suspended_has_no_opinion():
    assert suspension(a_view(), NOW) is None


def test_a_run_created_suspended_waits_without_children():
    plan = decide_run(a_view(run=a_run(SUSPEND)), NOW)
    assert plan.actions == ()
    assert plan.status.state == "Suspended"
    assert {c.type: c.status for c in plan.status.conditions}["Suspended"] == "True"


@pytest.mark.parametrize("driver", [None, "running"])
def test_F23_suspending_stops_the_attempt(driver):
    attempt = an_attempt() if driver else an_attempt(driver=None)
    plan = decide_run(a_view(attempt, run=a_run(SUSPEND, {"attempts": [attempt_status(1)]})), NOW)
    assert Delete("Job", "etl-1", "job-1") in plan.actions
    assert DeleteWorkers("etl", 1) in plan.actions
    assert plan.status.attempts[0].reason == "Stopped"
    assert plan.final


def test_F23_an_attempt_that_no_status_has_recorded_yet_is_recorded_as_stopped_before_it_is():
    plan = decide_run(a_view(an_attempt(), run=a_run(SUSPEND)), NOW)
    assert [(a.number, a.reason) for a in plan.status.attempts] == [(1, "Stopped")]
    assert not [a for a in plan.actions if isinstance(a, Delete) and a.kind == "Job"]
    assert (plan.final, plan.requeue_after_s) == (True, 0)
    plan = decide_run(a_view(an_attempt(), run=a_run(SUSPEND, plan.status.model_dump(by_alias=True))), NOW)
    assert Delete("Job", "etl-1", "job-1") in plan.actions


def test_F23_a_result_that_came_first_is_not_lost_by_a_suspension():
    view = a_view(an_attempt(driver=ended_pod(message())), run=a_run(SUSPEND))
    assert verdict_on(view, NOW).outcome.reason == "FlowCompleted"


def test_a_stopped_attempt_is_not_deleted_twice():
    plan = decide_run(a_view(an_attempt(job=a_job(deleting=True)), run=a_run(SUSPEND)), NOW)
    assert not [a for a in plan.actions if isinstance(a, Delete) and a.kind == "Job"]


def test_a_suspended_run_stays_as_it_is():
    run = a_run(SUSPEND, {"attempts": [attempt_status(1, reason="Stopped")]})
    plan = decide_run(a_view(run=run), NOW)
    assert plan.actions == ()
    assert not plan.final
    assert plan.status.attempts == run.status.attempts


def test_suspending_a_finished_run_changes_nothing():
    assert isinstance(verdict_on(a_view(run=a_run(SUSPEND, finished_status(1))), NOW), Settle)


def test_cancelling_a_suspended_run_ends_it():
    view = a_view(run=a_run({**SUSPEND, "cancel": True}))
    assert verdict_on(view, NOW).outcome.reason == "Cancelled"


def test_a_resumed_run_creates_its_next_attempt():
    run = a_run(status={"attempts": [attempt_status(1, reason="Stopped")]})
    plan = decide_run(a_view(run=run), NOW)
    created = [a.manifest["metadata"]["name"] for a in plan.actions if isinstance(a, Create)]
    assert created == ["etl-2"]
    assert not isinstance(verdict_on(a_view(run=run), NOW), Hold)
