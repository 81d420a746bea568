"""Informed: what must Prefect still be told of the run, and who tells it?

Condition `PrefectInformed` is the memory: False from the moment on that an end is recorded of which Prefect may not
know, True when it has heard. The report is asked for on every pass until then, so neither a crash of the operator nor
a long outage of Prefect loses it; it gives up only when the FlowRun is deleted. Nothing ever waits for it but the start
of the next attempt, and that not for long: its driver is going to need Prefect too.

A run with a Prefect key of its own is reported by a Job with that key in the run's namespace, since the operator may
not read Secrets. That Job tells the end only: between two attempts the next driver speaks for itself.
"""

from __future__ import annotations

from datetime import datetime

from flowrun_api.contract import ResultType
from flowrun_api.kinds.common import Condition, ConditionStatus
from flowrun_api.kinds.ends import CLASSES
from flowrun_api.kinds.naming import report_name
from flowrun_operator.children import report_job
from flowrun_operator.decide.conditions import condition
from flowrun_operator.decide.plan import (
    EXPLAIN_AFTER_S,
    STOPPED,
    Action,
    AttemptOutcome,
    Create,
    Delete,
    Explain,
    ReportToPrefect,
    Waiting,
)
from flowrun_operator.model import PodFacts, Problem, RunView

INFORMED = "PrefectInformed"
_Bare = tuple[str, ConditionStatus, str, str]

# How long a new attempt waits for the report on the one before.
_PATIENCE_S = 5.0
# How long a driver that is being stopped has the word: its grace period, and the kubelet's time.
DRIVER_SPEAKS_S = 20.0
# Prefect writes the states of task runs from a queue of events: those of a good end may still be on their way.
_EVENTS_S = 10.0
_REPORTING = "Prefect is to be told how the run ended"
_FIRST_CHECK_S, _LONGEST_CHECK_S = 0.5, 15.0


def ends_untold(view: RunView) -> _Bare | None:
    """Return the condition when an attempt is closed that gets a successor, or is suspended."""
    if view.current is None or not view.prefect_api_url:
        return None
    message = f"Prefect is to be told that attempt {view.current.number} has ended"
    return condition(INFORMED, False, "AttemptNotReported", message)


def at_end(view: RunView, outcome: AttemptOutcome) -> _Bare:
    """Return the condition when the run ends."""
    if view.current is None or not view.prefect_api_url:
        return condition(INFORMED, True, "NothingToTell", "no driver was started")
    if not outcome.reported:
        return condition(INFORMED, False, "Reporting", _REPORTING)
    if _owes(view):
        return condition(INFORMED, False, "Reporting", "Prefect is to be told of task runs that an attempt left behind")
    return condition(INFORMED, True, "Told", "the driver told Prefect how the run ended")


def now_known(view: RunView) -> _Bare | None:
    """Return the condition as it is while nothing ends: set True once Prefect has heard."""
    old = _condition(view)
    if old is None:
        return None
    if old.status is ConditionStatus.FALSE and _heard(view):
        return condition(INFORMED, True, "Told", "Prefect was told what the driver could not tell")
    refused = _refused(view)
    if old.status is ConditionStatus.FALSE and refused is not None:
        return condition(INFORMED, False, refused.reason, refused.message)
    if old.status is ConditionStatus.FALSE and old.reason != "Reporting" and view.finished and has_own_key(view):
        return condition(INFORMED, False, "Reporting", _REPORTING)  # what held the Job up is over
    return INFORMED, old.status, old.reason, old.message


def actions(view: RunView, now: datetime) -> list[Action]:
    """Return what is to be done about it."""
    if not _owes(view):
        return _without_job(view)
    report = _report(view)
    overtaken = report is not None and view.current is not None and view.current.number > report.attempt
    if report is None or overtaken or _heard(view) or not _due(view, now):
        return []
    if not has_own_key(view):
        return [report]
    if view.report_job is not None:
        # One that has failed for good is made anew.
        return _without_job(view) if view.report_job.finished else _questions(view, now)
    manifest = report_job(view.run, report.attempt, view.defaults, report.type, report.message)
    return [Create(manifest, view.run.metadata.uid)]


def check_after_s(view: RunView, now: datetime) -> float | None:
    """Return when to look again, in seconds; None: nothing is owed."""
    ended = _ended_at(view)
    if not _owes(view) or _report(view) is None or ended is None:
        return None
    return min(_LONGEST_CHECK_S, max(_FIRST_CHECK_S, (now - ended).total_seconds() / 8))


def patience_s(view: RunView, now: datetime) -> float:
    """Return how long the next attempt still waits for the report on the one before, in seconds."""
    ended = _ended_at(view)
    if ended is None or not _owes(view) or _report(view) is None or _heard(view):
        return 0.0
    left = _PATIENCE_S - (now - ended).total_seconds()
    return min(_FIRST_CHECK_S, max(0.0, left))


def owes_waiting(view: RunView) -> bool:
    """Whether a report between two attempts may be under way."""
    return _owes(view) and not view.finished


def has_own_key(view: RunView) -> bool:
    """Whether only the run's own pods can talk to its Prefect."""
    return view.run.spec.prefect.api_key_secret is not None


def _without_job(view: RunView) -> list[Action]:
    job = view.report_job
    return [Delete("Job", job.name, job.uid)] if job is not None and not job.deleting else []


def _report(view: RunView) -> ReportToPrefect | None:
    """Return the report that is owed, made from what the status has recorded."""
    status, url = view.run.status, view.prefect_api_url
    last = status.attempts[-1] if status.attempts else None
    if last is None or not url:
        return None
    if view.finished:
        return ReportToPrefect(last.number, url, *_end(view))
    if last.completion_time is None or has_own_key(view):
        return None
    if last.reason == STOPPED:
        return ReportToPrefect(last.number, url, Waiting.SUSPENDED, "the run is suspended")
    message = f"attempt {last.number} ended with {last.reason}: {last.message or ''}"
    return ReportToPrefect(last.number, url, Waiting.AWAITING_RETRY, message)


def _end(view: RunView) -> tuple[ResultType, str]:
    result = _condition(view, "Succeeded")
    reason, message = (result.reason, result.message) if result else ("", "")
    if result is not None and result.status is ConditionStatus.TRUE:
        return ResultType.COMPLETED, result.message
    if view.run.status.state == "Cancelled":
        return ResultType.CANCELLED, f"{reason}: {message}"
    return ResultType.FAILED if _failed(view, reason) else ResultType.CRASHED, f"{reason}: {message}"


def _failed(view: RunView, reason: str) -> bool:
    """Whether the end is one of the flow or its user, which Prefect calls Failed; sys.exit() in a flow is Crashed."""
    crashed = view.run.status.flow_run is not None and view.run.status.flow_run.state == "Crashed"
    return reason == "DeadlineExceeded" or (reason in CLASSES and not crashed)


def _due(view: RunView, now: datetime) -> bool:
    """Whether nobody else is going to tell: a driver that is being stopped has the word first."""
    ended = _ended_at(view)
    passed_s = (now - ended).total_seconds() if ended else DRIVER_SPEAKS_S
    if passed_s >= DRIVER_SPEAKS_S:
        return True
    succeeded = _condition(view, "Succeeded")
    if succeeded is not None and succeeded.status is ConditionStatus.TRUE and passed_s < _EVENTS_S:
        return False
    drivers = [*view.drivers, *(a.driver for a in view.attempts if a.driver is not None)]
    return all(d.ended or d.unreachable for d in drivers)


def _heard(view: RunView) -> bool:
    report = _report(view)
    if report is None:
        return False
    if has_own_key(view):
        return view.report_job is not None and (view.report_job.succeeded or _said_so(view.report_pod))
    return view.told == report.id


def _said_so(pod: PodFacts | None) -> bool:
    """Whether the process has ended well; with a sidecar beside it the Job may never do."""
    return pod is not None and pod.terminated is not None and pod.terminated.exit_code == 0


def _refused(view: RunView) -> Problem | None:
    """Return what keeps the Job or its pod away."""
    refused = view.problems.get(report_name(view.run.metadata.name, view.run.metadata.uid))
    held_up = view.report_pod or view.report_job
    return refused or (held_up.problem if held_up is not None else None)


def _questions(view: RunView, now: datetime) -> list[Action]:
    """Ask why the Job has no pod, or its pod does not run: a quota, a policy, no room."""
    job, pod = view.report_job, view.report_pod
    if job is None or job.created_at is None or (pod is not None and not pod.silent):
        return []
    age_s = (now - job.created_at).total_seconds()
    return [Explain(pod.uid if pod else job.uid)] if age_s >= EXPLAIN_AFTER_S else []


def _owes(view: RunView) -> bool:
    old = _condition(view)
    return old is not None and old.status is ConditionStatus.FALSE


def _ended_at(view: RunView) -> datetime | None:
    status = view.run.status
    last = status.attempts[-1] if status.attempts else None
    return status.completion_time or (last.completion_time if last else None)


def _condition(view: RunView, type_: str = INFORMED) -> Condition | None:
    return next((c for c in view.run.status.conditions if c.type == type_), None)
