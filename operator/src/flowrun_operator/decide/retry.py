"""Retry: does a failed attempt get a successor?

Only infrastructure failures do, on fresh clusters; a flow that failed has given its result (Prefect retries flows
inside the driver). The successor waits until its predecessor's driver has ended for certain (`fencing`).
"""

from datetime import datetime, timedelta

from flowrun_api.kinds.ends import BACKOFF_S
from flowrun_api.kinds.flowrun import AttemptStatus
from flowrun_operator.decide.fencing import fenced, not_ended
from flowrun_operator.decide.informed import patience_s
from flowrun_operator.decide.outcome import attempt_outcome, place
from flowrun_operator.decide.plan import STOPPED, CloseAttempt, Finish, Hold, StartAttempt, Verdict
from flowrun_operator.model import AttemptView, RunView


def retry(view: RunView, now: datetime) -> Verdict:
    """Finish the run with its last attempt, or start another one."""
    current = view.current
    return _decided(view, current, now) if current else None


def _decided(view: RunView, current: AttemptView, now: datetime) -> Verdict:
    record = next((a for a in view.run.status.attempts if a.number == current.number), None)
    if record is not None and record.reason == STOPPED:
        return _resume(view, current, now)
    outcome = attempt_outcome(current)
    if outcome is not None and not outcome.infrastructure:
        return Finish(outcome)
    failures = _failures(view, current.number)
    if record is not None and record.completion_time is not None:
        return _succeed(view, record, failures, now)  # it was closed because it gets a successor
    if outcome is None:
        return None
    spent = failures > view.run.spec.retry_policy.max_infrastructure_retries
    return Finish(outcome) if spent else CloseAttempt(outcome)


def _resume(view: RunView, current: AttemptView, now: datetime) -> Verdict:
    """Start anew: the attempt was suspended, not lost."""
    driver = not_ended(view)
    if driver is not None:
        return Hold("Stopping", f"attempt {current.number} is being stopped: {place(driver)} has not ended")
    if current.job is not None and not current.job.finished:
        return Hold("Stopping", f"attempt {current.number} is being stopped")
    return StartAttempt(current.number + 1, wait_s=patience_s(view, now))


def _succeed(view: RunView, failed: AttemptStatus, failures: int, now: datetime) -> Verdict:
    """Start the successor of an attempt that was closed."""
    backoff_s = BACKOFF_S[min(failures - 1, len(BACKOFF_S) - 1)]
    not_before = (failed.completion_time or now) + timedelta(seconds=backoff_s)
    wait_s = max(0.0, (not_before - now).total_seconds(), patience_s(view, now))
    return fenced(view, StartAttempt(failed.number + 1, wait_s=wait_s, failed=failed.reason))


def _failures(view: RunView, number: int) -> int:
    """Return how many attempts have failed, the current one among them."""
    before = [a for a in view.run.status.attempts if a.number < number]
    return 1 + sum(1 for a in before if a.reason not in (None, STOPPED))
