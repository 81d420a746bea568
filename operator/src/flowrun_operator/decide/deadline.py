"""Deadline: `activeDeadlineSeconds` is for the whole run, attempts and the waits between them.

The clock starts with the first attempt and, as for a Kubernetes Job, anew with the first one after a suspension. The
Job of each attempt gets what is left, so the Job controller ends it with the operator dead; this policy ends a run
between two attempts, and one whose Job controller does not come to it.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from flowrun_operator.decide.outcome import attempt_outcome, overdue
from flowrun_operator.decide.plan import STOPPED, Finish, Verdict
from flowrun_operator.model import AttemptView, RunView

# The Job controller goes first: it leaves the driver's pod, and so its log.
_JOB_CONTROLLER_S = 15.0


def deadline(view: RunView, now: datetime) -> Verdict:
    """Finish a run whose time is over."""
    current = view.current
    ends = _ends(view)
    if current is None or ends is None or now < ends:
        return None
    outcome = attempt_outcome(current)
    if outcome is not None and not outcome.infrastructure:
        return None  # it came first
    if outcome is None and _has_live_job(current) and now < ends + timedelta(seconds=_JOB_CONTROLLER_S):
        return None
    return Finish(overdue(outcome.reason if outcome else ""), stop_driver=True)


def left_s(view: RunView, now: datetime) -> int | None:
    """Return what an attempt that starts now may take, in whole seconds, at least 1; None: as long as it likes."""
    limit, ends = view.run.spec.active_deadline_seconds, _ends(view)
    if limit is None or ends is None:
        return limit
    return max(1, math.ceil((ends - now).total_seconds()))


def check_after_s(view: RunView, now: datetime) -> float | None:
    """Return when this policy wants to look again, in seconds."""
    ends = _ends(view)
    if ends is None:
        return None
    left = (ends - now).total_seconds()
    return left if left > 0 else max(1.0, left + _JOB_CONTROLLER_S)


def _ends(view: RunView) -> datetime | None:
    limit, started = view.run.spec.active_deadline_seconds, _clock_start(view)
    return started + timedelta(seconds=limit) if limit is not None and started is not None else None


def _clock_start(view: RunView) -> datetime | None:
    attempts = view.run.status.attempts
    stopped = max((index for index, a in enumerate(attempts) if a.reason == STOPPED), default=-1)
    counted = attempts[stopped + 1 :]
    if counted:
        return counted[0].start_time
    current = view.current
    if current is None or any(a.number == current.number for a in attempts):
        return None  # nothing has started yet, or not again
    return current.job.created_at if current.job else None


def _has_live_job(current: AttemptView) -> bool:
    job = current.job
    return job is not None and not job.finished and not job.deleting and job.failure is None
