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
from flowrun_operator.decide.cancellation import cancellation
from flowrun_operator.decide.plan import Delete, DeleteWorkers, ReportToPrefect, Settle

CANCEL = {"cancel": True}


def test_a_run_that_is_not_cancelled_has_no_opinion():
    assert cancellation(a_view(an_attempt()), NOW) is None


@pytest.mark.parametrize(
    "attempts",
    [
        pytest.param((), id="before anything exists"),
        pytest.param((an_attempt(driver=None, clusters=(), worker_pods=0),), id="while the driver starts"),
        pytest.param((an_attempt(),), id="while the driver runs"),
        pytest.param((an_attempt(driver=ended_pod("", 137, "Error")),), id="after the driver was killed"),
        pytest.param((an_attempt(job=None, driver=None),), id="after the Job was deleted by hand"),
    ],
)
def test_F24_a_run_is_cancelled_in_every_state(attempts):
    verdict = verdict_on(a_view(*attempts, run=a_run(CANCEL)), NOW)
    assert (verdict.outcome.reason, verdict.outcome.type, verdict.stop_driver) == ("Cancelled", "CANCELLED", True)


@pytest.mark.parametrize("reason", ["FlowCompleted", "FlowFailed", "FlowCancelled"])
def test_F24_a_result_of_the_flow_that_came_first_stands(reason):
    view = a_view(an_attempt(driver=ended_pod(message(reason=reason))), run=a_run(CANCEL))
    assert verdict_on(view, NOW).outcome.reason == reason


def test_F24_cancelling_a_finished_run_changes_nothing():
    view = a_view(run=a_run(CANCEL, finished_status(10)))
    assert isinstance(verdict_on(view, NOW), Settle)


def test_F24_a_deadline_that_came_first_stands():
    job = a_job(failure=_deadline())
    assert verdict_on(a_view(an_attempt(job=job), run=a_run(CANCEL)), NOW).outcome.reason == "DeadlineExceeded"


def test_a_cancelled_run_loses_its_workers_at_once_and_prefect_is_told():
    plan = decide_run(a_view(an_attempt(), run=a_run(CANCEL)), NOW)
    assert DeleteWorkers("etl", 1) in plan.actions
    assert Delete("TaskCluster", "etl-1-default", "cluster-1") in plan.actions
    reports = [a for a in plan.actions if isinstance(a, ReportToPrefect)]
    assert [(r.attempt, r.type) for r in reports] == [(1, "CANCELLED")]
    assert (plan.status.state, plan.final) == ("Cancelled", True)


def test_the_driver_is_stopped_at_the_latest_when_the_result_stands():
    run = a_run(CANCEL)
    first = decide_run(a_view(an_attempt(), run=run), NOW)
    decided = run.model_copy(update={"status": first.status})
    second = decide_run(a_view(an_attempt(), run=decided), NOW)
    assert Delete("Job", "etl-1", "job-1") in (*first.actions, *second.actions)


def test_a_run_cancelled_before_its_first_attempt_needs_no_report():
    plan = decide_run(a_view(run=a_run(CANCEL)), NOW)
    assert plan.actions == ()
    assert plan.status.state == "Cancelled"


def test_F24_a_cancelled_run_that_waits_for_a_retry_gets_no_other_attempt():
    status = {"attempts": [attempt_status(reason="DriverKilled")]}
    run = a_run({**CANCEL, "retryPolicy": {"maxInfrastructureRetries": 3}}, status)
    view = a_view(an_attempt(driver=ended_pod("", 137, "Error")), run=run)
    assert verdict_on(view, NOW).outcome.reason == "Cancelled"


def _deadline():
    from flowrun_operator.model import Problem

    return Problem("DeadlineExceeded", "Job was active longer than specified deadline")
