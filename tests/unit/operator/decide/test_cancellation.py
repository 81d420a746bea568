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
from flowrun_operator.decide.plan import AnnounceCancel, Delete, DeleteWorkers, Settle

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


def test_F24_a_cancelled_run_loses_its_workers_at_once_and_prefect_hears_of_it_first():
    plan = decide_run(a_view(an_attempt(), run=a_run(CANCEL)), NOW)
    assert DeleteWorkers("etl", 1) in plan.actions
    assert Delete("TaskCluster", "etl-1-default", "cluster-1") in plan.actions
    assert plan.first == ((AnnounceCancel("http://prefect:4200/api"),),), "before its driver is stopped"
    assert (plan.status.state, plan.final) == ("Cancelled", True)


def test_the_driver_is_stopped_at_the_latest_when_the_result_stands():
    run = a_run(CANCEL)
    first = decide_run(a_view(an_attempt(), run=run), NOW)
    decided = run.model_copy(update={"status": first.status})
    second = decide_run(a_view(an_attempt(), run=decided), NOW)
    assert Delete("Job", "etl-1", "job-1") in (*first.actions, *second.actions)


def test_a_run_cancelled_before_its_first_attempt_needs_no_report():
    plan = decide_run(a_view(run=a_run(CANCEL)), NOW)
    assert (plan.first, plan.actions) == (((),), ())
    assert plan.status.state == "Cancelled"
    assert plan.status.conditions[-1].reason == "NothingToTell"


def test_I5_a_run_with_a_prefect_key_of_its_own_is_not_announced_by_the_operator():
    run = a_run({**CANCEL, "prefect": {"apiKeySecret": {"name": "mine"}}})
    assert decide_run(a_view(an_attempt(), run=run), NOW).first == ((),)


def test_F24_a_cancelled_run_that_waits_for_a_retry_gets_no_other_attempt():
    status = {"attempts": [attempt_status(reason="DriverKilled")]}
    run = a_run({**CANCEL, "retryPolicy": {"maxInfrastructureRetries": 3}}, status)
    view = a_view(an_attempt(driver=ended_pod("", 137, "Error")), run=run)
    assert verdict_on(view, NOW).outcome.reason == "Cancelled"


def _deadline():
    from flowrun_operator.model import Problem

    return Problem("DeadlineExceeded", "Job was active longer than specified deadline")
