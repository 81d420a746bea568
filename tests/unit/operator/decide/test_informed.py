from dataclasses import replace

import pytest
from operator_testing.builders import (
    DEFAULTS,
    NOW,
    RUN_UID,
    a_condition,
    a_job,
    a_pod,
    a_run,
    a_view,
    an_attempt,
    attempt_status,
    ended_pod,
    finished_status,
    lost_pod,
    message,
)

from flowrun_operator.decide import decide_run, informed
from flowrun_operator.decide.plan import Create, Delete, Explain, ReportToPrefect
from flowrun_operator.model import Problem

URL = "http://prefect:4200/api"
KILLED = ended_pod("", 137, "Error")
MINE = {"prefect": {"apiKeySecret": {"name": "mine"}}}
REPORT_NAME = f"etl-report-{RUN_UID[:8]}"
END = "1-CRASHED"
CRASHED = {"flowRun": {"id": "f-1", "state": "Crashed"}}


def informed_of(status) -> tuple[str, str] | None:
    found = next((c for c in status.conditions if c.type == "PrefectInformed"), None)
    return (found.status.value, found.reason) if found else None


def owed(state: str = "Failed", reason: str = "DriverKilled", age_s: float = 30, attempt: int = 1) -> dict:
    """Return the status of a finished run of which Prefect has not heard."""
    status = finished_status(age_s, state)
    status["conditions"] = [
        a_condition("Succeeded", "True" if state == "Succeeded" else "False", reason, text="why"),
        a_condition("PrefectInformed", "False", "Reporting"),
    ]
    status["attempts"] = [attempt_status(attempt, reason=reason)]
    return status


def between(reason: str = "DriverKilled") -> dict:
    return {
        "attempts": [attempt_status(1, reason=reason)],
        "conditions": [a_condition("PrefectInformed", "False", "AttemptNotReported")],
    }


# name, driver's end, condition when the run ends
AT_END = [
    ("the driver told its result", ended_pod(message()), ("True", "Told")),
    ("so it did with a failure", ended_pod(message("FAILED", "FlowFailed"), 1), ("True", "Told")),
    ("the flow ended and Prefect was away", ended_pod(message(prefectInformed=False)), ("False", "Reporting")),
    ("it was killed", KILLED, ("False", "Reporting")),
    (
        "it told that it crashed, maybe in a hurry",
        ended_pod(message("CRASHED", "Terminated"), 1),
        ("False", "Reporting"),
    ),
]


@pytest.mark.parametrize(("driver", "expected"), [r[1:] for r in AT_END], ids=[r[0] for r in AT_END])
def test_condition_at_the_end_table(driver, expected):
    plan = decide_run(a_view(an_attempt(driver=driver)), NOW)
    assert informed_of(plan.status) == expected
    assert not [a for a in plan.actions if isinstance(a, ReportToPrefect)], "never before the result is written"


@pytest.mark.parametrize(
    "view",
    [a_view(run=a_run({"cancel": True})), a_view(defaults=replace(DEFAULTS, prefect_api_url=None))],
    ids=["cancelled before its first attempt", "no Prefect API is known"],
)
def test_nothing_is_owed_where_no_driver_was_started(view):
    assert informed_of(decide_run(view, NOW).status) == ("True", "NothingToTell")


# name, status, driver, report: attempt, type
REPORTS = [
    ("a crash", owed(), KILLED, (1, "CRASHED")),
    ("a cancellation", owed("Cancelled", "Cancelled"), KILLED, (1, "CANCELLED")),
    ("a deadline", owed("Failed", "DeadlineExceeded"), KILLED, (1, "FAILED")),
    ("the driver's pod is gone", owed(), None, (1, "CRASHED")),
    ("a driver that is being stopped has the word first", owed(age_s=5), a_pod(deleting=True), None),
    ("but not for ever", owed(age_s=20), a_pod(deleting=True), (1, "CRASHED")),
    ("one out of reach will say nothing", owed(age_s=5), lost_pod(deleting=True), (1, "CRASHED")),
    ("task runs of an earlier attempt", owed("Succeeded", "FlowCompleted", attempt=2), None, (2, "COMPLETED")),
    ("a flow that failed while Prefect was away", owed("Failed", "FlowFailed"), KILLED, (1, "FAILED")),
    ("a flow that ended by sys.exit()", {**owed("Failed", "FlowFailed"), **CRASHED}, KILLED, (1, "CRASHED")),
    ("once the events of a good end have come", owed("Succeeded", "FlowCompleted", age_s=9, attempt=2), None, None),
    ("an attempt that gets a successor", between(), KILLED, (1, "AwaitingRetry")),
]


@pytest.mark.parametrize(("status", "driver", "expected"), [r[1:] for r in REPORTS], ids=[r[0] for r in REPORTS])
def test_report_table(status, driver, expected):
    run = a_run({"retryPolicy": {"maxInfrastructureRetries": 1}}, status)
    job = a_job(finished=driver is None or driver.ended)
    plan = decide_run(a_view(an_attempt(job=job, driver=driver), run=run), NOW)
    reports = [a for a in plan.actions if isinstance(a, ReportToPrefect)]
    assert [(r.attempt, r.type.value) for r in reports] == ([expected] if expected else [])
    assert not [a for a in plan.actions if isinstance(a, Create)]


def test_F23_a_suspended_run_waits_in_prefect_too_once_its_driver_is_gone():
    run = a_run({"suspend": True}, between("Stopped"))
    stopping = a_view(run=run, drivers=(a_pod(deleting=True),))
    assert not [a for a in decide_run(stopping, NOW).actions if isinstance(a, ReportToPrefect)]
    (report,) = [a for a in decide_run(replace(stopping, drivers=()), NOW).actions if isinstance(a, ReportToPrefect)]
    assert report.type == "Suspended"
    told = decide_run(replace(stopping, drivers=(), told=report.id), NOW)
    assert informed_of(told.status) == ("True", "Told")


def test_F23_a_suspension_is_owed_from_the_moment_that_the_attempt_is_stopped():
    plan = decide_run(a_view(an_attempt(), run=a_run({"suspend": True})), NOW)
    assert informed_of(plan.status) == ("False", "AttemptNotReported")
    assert plan.status.attempts[0].failure_class == "User"


def test_F28_the_report_is_asked_for_until_prefect_has_heard_ever_more_seldom():
    view = a_view(an_attempt(job=a_job(finished=True), driver=KILLED), run=a_run(status=owed(age_s=24)))
    plan = decide_run(view, NOW)
    assert (plan.status, plan.requeue_after_s) == (None, 3.0)
    later = replace(view, run=a_run(status=owed(age_s=4000)))
    assert decide_run(later, NOW).requeue_after_s == 15
    heard = decide_run(replace(view, told=END), NOW)
    assert informed_of(heard.status) == ("True", "Told")
    assert not [a for a in heard.actions if isinstance(a, ReportToPrefect)]
    assert heard.status.conditions[0] == view.run.status.conditions[0], "the result is never touched"


def test_an_old_report_is_not_taken_for_the_one_that_is_owed():
    view = a_view(an_attempt(driver=KILLED), run=a_run(status=owed()), told="1-AwaitingRetry")
    assert [a for a in decide_run(view, NOW).actions if isinstance(a, ReportToPrefect)]


def test_a_run_that_an_older_operator_ended_owes_nothing():
    plan = decide_run(a_view(an_attempt(driver=KILLED), run=a_run(status=finished_status(30, "Failed"))), NOW)
    assert not [a for a in plan.actions if isinstance(a, ReportToPrefect)]


def with_job(**job):
    view = a_view(an_attempt(job=a_job(finished=True), driver=KILLED), run=a_run(MINE, owed()))
    return replace(view, report_job=a_job(**{"name": REPORT_NAME, "uid": "r", **job}) if job else None)


def test_I5_a_run_with_its_own_key_is_reported_by_a_job_of_its_own():
    plan = decide_run(with_job(), NOW)
    assert not [a for a in plan.actions if isinstance(a, ReportToPrefect)]
    (job,) = [a.manifest for a in plan.actions if isinstance(a, Create)]
    assert (job["kind"], job["metadata"]["name"]) == ("Job", REPORT_NAME)


# name, report Job, condition, what happens to the Job
JOBS = [
    ("it runs", {"finished": False}, None, None),
    (
        "it has succeeded: first the condition, then the rest",
        {"finished": True, "succeeded": True},
        ("True", "Told"),
        None,
    ),
    ("it has failed for good and is made anew", {"finished": True}, None, Delete),
]


@pytest.mark.parametrize(("job", "condition", "action"), [r[1:] for r in JOBS], ids=[r[0] for r in JOBS])
def test_report_job_table(job, condition, action):
    plan = decide_run(with_job(**job), NOW)
    assert (informed_of(plan.status) if plan.status else None) == condition
    done = [a for a in plan.actions if isinstance(a, Create | Delete) and getattr(a, "name", "") == REPORT_NAME]
    assert [type(a) for a in done] == ([action] if action else [])


def test_the_report_job_goes_when_the_condition_says_that_prefect_has_heard():
    status = owed()
    status["conditions"][1] = a_condition("PrefectInformed", "True", "Told")
    view = replace(with_job(finished=True, succeeded=True), run=a_run(MINE, status))
    assert Delete("Job", REPORT_NAME, "r") in decide_run(view, NOW).actions


QUOTA = Problem("QuotaExceeded", "must specify limits.cpu for: flowrun")


@pytest.mark.parametrize("held_up", [{"report_job": {"problem": QUOTA}}, {"report_pod": {"problem": QUOTA}}])
def test_F16_a_report_whose_pod_is_refused_or_held_up_says_why_and_goes_on(held_up):
    view = with_job(**{"age_s": 9, **held_up.get("report_job", {})})
    if "report_pod" in held_up:
        view = replace(view, report_pod=a_pod(name="report-x", running=False, phase="Pending", **held_up["report_pod"]))
    status = decide_run(view, NOW).status
    assert informed_of(status) == ("False", "QuotaExceeded")
    (said,) = [c.message for c in status.conditions if c.type == "PrefectInformed"]
    assert "limits.cpu" in said
    run = view.run.model_copy(update={"status": status})
    later = replace(view, run=run, report_job=a_job(name=REPORT_NAME, uid="r"), report_pod=a_pod(name="report-x"))
    assert informed_of(decide_run(later, NOW).status) == ("False", "Reporting")


@pytest.mark.parametrize(
    ("age_s", "pod", "asked"),
    [
        (2, None, None),
        (4, None, "r"),
        (4, a_pod(uid="p", running=False, phase="Pending"), "p"),
        (4, a_pod(uid="p"), None),
    ],
)
def test_F16_a_report_job_without_a_pod_that_runs_is_asked_why(age_s, pod, asked):
    view = replace(with_job(age_s=age_s), report_pod=pod)
    found = [a.uid for a in decide_run(view, NOW).actions if isinstance(a, Explain)]
    assert found == ([asked] if asked else [])


@pytest.mark.parametrize(("exit_code", "informed"), [(0, ("True", "Told")), (1, None)])
def test_a_report_is_told_by_its_process_whatever_runs_beside_it(exit_code, informed):
    pod = ended_pod("", exit_code, name="report-x", phase="Running", lingers=True)
    status = decide_run(replace(with_job(age_s=9), report_pod=pod), NOW).status
    assert (informed_of(status) if status else None) == informed


def test_F16_a_report_job_that_is_refused_is_said():
    view = replace(with_job(), problems={REPORT_NAME: Problem("QuotaExceeded", "exceeded quota")})
    assert informed_of(decide_run(view, NOW).status) == ("False", "QuotaExceeded")


def test_a_run_with_its_own_key_is_not_reported_between_two_attempts():
    run = a_run({**MINE, "retryPolicy": {"maxInfrastructureRetries": 1}}, between())
    plan = decide_run(a_view(an_attempt(driver=KILLED), run=run), NOW)
    created = [a.manifest["metadata"]["name"] for a in plan.actions if isinstance(a, Create)]
    assert created == ["etl-2"], "at once"
    assert informed.patience_s(a_view(an_attempt(driver=KILLED), run=run), NOW) == 0
