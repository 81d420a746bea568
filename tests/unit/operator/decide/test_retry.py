from dataclasses import replace
from datetime import timedelta

import pytest
from operator_testing.builders import (
    NOW,
    a_job,
    a_run,
    a_view,
    ago,
    an_attempt,
    attempt_status,
    ended_pod,
    message,
    rfc,
)

from flowrun_operator.decide import decide_run, verdict_on
from flowrun_operator.decide.plan import CloseAttempt, Create, DropReport, Finish, Hold, ReportToPrefect, StartAttempt
from flowrun_operator.decide.retry import retry

KILLED = ended_pod("", 137, "Error")


def retries(count: int, **more) -> dict:
    return {"retryPolicy": {"maxInfrastructureRetries": count}, **more}


def closed(number: int, reason: str, seconds_ago: float) -> dict:
    return {"number": number, "startTime": rfc(ago(99)), "completionTime": rfc(ago(seconds_ago)), "reason": reason}


# name, retries, recorded attempts, number of the attempt that was killed, verdict: next attempt and wait, or reason
TABLE = [
    ("no retries by default", 0, [], 1, "DriverKilled"),
    ("the first retry starts at once", 1, [closed(1, "DriverKilled", 0)], 1, (2, 0.0)),
    ("retries are exhausted", 1, [closed(1, "DriverKilled", 30)], 2, "DriverKilled"),
    (
        "the second retry waits 5 s",
        2,
        [closed(1, "DriverKilled", 30), closed(2, "DriverKilled", 0)],
        2,
        (3, 5.0),
    ),
    (
        "the wait is counted from the recorded end",
        2,
        [closed(1, "DriverKilled", 30), closed(2, "DriverKilled", 3)],
        2,
        (3, 2.0),
    ),
    (
        "a wait that is over starts the attempt",
        2,
        [closed(1, "DriverKilled", 30), closed(2, "DriverKilled", 6)],
        2,
        (3, 0.0),
    ),
    (
        "later retries wait no longer than 60 s",
        100,
        [closed(n, "DriverKilled", 0) for n in range(1, 41)],
        40,
        (41, 60.0),
    ),
    (
        "a suspension counts as no failure",
        1,
        [closed(1, "Stopped", 30), closed(2, "DriverKilled", 0)],
        2,
        (3, 0.0),
    ),
    (
        "suspensions and failures are told apart",
        1,
        [closed(1, "Stopped", 90), closed(2, "DriverKilled", 30)],
        3,
        "DriverKilled",
    ),
]


@pytest.mark.parametrize(
    ("limit", "recorded", "number", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_retry_table(limit, recorded, number, expected):
    run = a_run(retries(limit), {"attempts": recorded} if recorded else None)
    verdict = retry(a_view(an_attempt(number, driver=KILLED), run=run), NOW)
    if isinstance(expected, str):
        assert (type(verdict), verdict.outcome.reason) == (Finish, expected)
    else:
        assert (verdict.number, verdict.wait_s) == expected
        assert verdict.failed == "DriverKilled"


def test_F01_an_attempt_is_closed_before_its_successor_exists():
    # Otherwise a crash after the next Job's creation would forget the failure, and grant one retry too many.
    view = a_view(an_attempt(driver=KILLED), run=a_run(retries(1)))
    assert isinstance(retry(view, NOW), CloseAttempt)
    plan = decide_run(view, NOW)
    assert not [a for a in plan.actions if isinstance(a, Create)]
    assert (plan.final, plan.requeue_after_s) == (True, 0)
    assert [(a.number, a.reason) for a in plan.status.attempts] == [(1, "DriverKilled")]


@pytest.mark.parametrize("reason", ["FlowFailed", "FlowLoadFailed", "InvalidParameters", "FlowCancelled"])
def test_a_flow_that_gave_its_result_is_never_started_again(reason):
    view = a_view(an_attempt(driver=ended_pod(message("FAILED", reason), 1)), run=a_run(retries(5)))
    assert retry(view, NOW).outcome.reason == reason


@pytest.mark.parametrize("reason", ["CoordinatorLost", "PrefectUnreachable", "ClusterStartupFailed", "Terminated"])
def test_ends_of_the_infrastructure_are_retried(reason):
    view = a_view(an_attempt(driver=ended_pod(message("CRASHED", reason), 1)), run=a_run(retries(1)))
    assert retry(view, NOW).outcome.reason == reason
    assert isinstance(retry(view, NOW), CloseAttempt)


def test_F14_a_job_deleted_by_hand_is_retried_by_policy():
    run = a_run(retries(1), {"attempts": [attempt_status(1)]})
    gone = {"gone_jobs": frozenset({"etl-1"})}
    assert isinstance(retry(a_view(run=run, **gone), NOW), CloseAttempt)
    final = retry(a_view(run=a_run(None, {"attempts": [attempt_status(1)]}), **gone), NOW)
    assert final.outcome.reason == "DriverDeleted"


def test_F06_a_job_that_is_only_missing_from_the_cache_ends_nothing():
    run = a_run(retries(1), {"attempts": [attempt_status(1)]})
    assert retry(a_view(run=run), NOW) is None


def test_a_resumed_run_starts_the_next_attempt():
    run = a_run(status={"attempts": [attempt_status(1, reason="Stopped")]})
    assert retry(a_view(run=run), NOW) == StartAttempt(2)


def test_F23_a_resumed_run_waits_until_the_suspended_driver_is_gone():
    run = a_run(status={"attempts": [attempt_status(1, reason="Stopped")]})
    verdict = retry(a_view(an_attempt(job=a_job(deleting=True)), run=run), NOW)
    assert isinstance(verdict, Hold)
    assert verdict.reason == "Stopping"


def test_a_run_without_an_attempt_has_no_opinion_on_retries():
    assert retry(a_view(), NOW) is None


def test_a_live_attempt_has_no_opinion_on_retries():
    assert retry(a_view(an_attempt()), NOW) is None


def test_the_failed_attempt_is_told_to_prefect_before_its_successor_starts():
    view = a_view(an_attempt(driver=KILLED), run=a_run(retries(1)))
    closed = replace(view, run=view.run.model_copy(update={"status": decide_run(view, NOW).status}))
    waiting = decide_run(closed, NOW)
    (report,) = [a for a in waiting.actions if isinstance(a, ReportToPrefect)]
    assert (report.attempt, report.type) == (1, "AwaitingRetry")
    assert not [a for a in waiting.actions if isinstance(a, Create)]
    plan = decide_run(replace(closed, told=report.id), NOW)
    assert [a.manifest["metadata"]["name"] for a in plan.actions if isinstance(a, Create)] == ["etl-2"]
    assert not [a for a in plan.actions if isinstance(a, ReportToPrefect)]
    assert plan.status.conditions[-1].status == "True"


def test_F28_a_prefect_that_does_not_listen_holds_up_a_retry_for_seconds_only():
    view = a_view(an_attempt(driver=KILLED), run=a_run(retries(1)))
    closed = replace(view, run=view.run.model_copy(update={"status": decide_run(view, NOW).status}))
    plan = decide_run(closed, NOW + timedelta(seconds=6))
    assert [a.manifest["metadata"]["name"] for a in plan.actions if isinstance(a, Create)] == ["etl-2"]
    assert [a for a in plan.actions if isinstance(a, DropReport)], "the next driver speaks for the run now"
    assert plan.status.conditions[-1].status == "False"


def test_a_retry_that_waits_neither_reports_nor_creates():
    recorded = [closed(1, "DriverKilled", 30), closed(2, "DriverKilled", 3)]
    run = a_run(retries(2), {"attempts": recorded})
    plan = decide_run(a_view(an_attempt(2, driver=KILLED), run=run), NOW)
    assert not [a for a in plan.actions if isinstance(a, ReportToPrefect | Create)]
    assert plan.requeue_after_s == 2.0


def test_the_status_says_why_there_is_another_attempt():
    run = a_run(retries(1), {"attempts": [closed(1, "DriverKilled", 0)]})
    plan = decide_run(a_view(an_attempt(driver=KILLED), run=run), NOW)
    assert [(a.number, a.reason) for a in plan.status.attempts] == [(1, "DriverKilled"), (2, None)]
    assert "DriverKilled" in plan.status.conditions[0].message


def test_policies_agree_that_the_result_outranks_the_retry():
    view = a_view(an_attempt(driver=ended_pod(message())), run=a_run(retries(5)))
    assert verdict_on(view, NOW).outcome.reason == "FlowCompleted"
