"""Retry: does a failed attempt get a successor?

Only infrastructure failures do, on fresh clusters; a flow that failed has given its result (Prefect retries flows
inside the driver).
"""

from datetime import datetime, timedelta

from flowrun_operator.decide.outcome import attempt_outcome
from flowrun_operator.decide.plan import AttemptOutcome, CloseAttempt, Finish, Hold, StartAttempt, Verdict
from flowrun_operator.model import RunView

_BACKOFF_S = (0, 5, 15, 30, 60)
STOPPED = "Stopped"


def retry(view: RunView, now: datetime) -> Verdict:
    """Finish the run with its last attempt, or start another one."""
    current = view.current
    if current is None:
        return None
    if any(a.number == current.number and a.reason == STOPPED for a in view.run.status.attempts):
        live = current.driver is not None and current.driver.live
        if live or (current.job is not None and not current.job.finished):
            return Hold(reason="Stopping", message=f"attempt {current.number} is being stopped")
        return StartAttempt(current.number + 1)  # it was suspended, not lost
    outcome = attempt_outcome(current)
    if outcome is None:
        return None
    return _after(view, current.number, outcome, now)


def _after(view: RunView, number: int, outcome: AttemptOutcome, now: datetime) -> Verdict:
    if not outcome.infrastructure:
        return Finish(outcome)
    attempts = view.run.status.attempts
    failures = 1 + sum(1 for a in attempts if a.number < number and a.reason not in (None, STOPPED))
    if failures > view.run.spec.retry_policy.max_infrastructure_retries:
        return Finish(outcome)
    failed_at = next((a.completion_time for a in attempts if a.number == number), None)
    if failed_at is None:
        return CloseAttempt(outcome)
    not_before = failed_at + timedelta(seconds=_BACKOFF_S[min(failures - 1, len(_BACKOFF_S) - 1)])
    return StartAttempt(number + 1, wait_s=max(0.0, (not_before - now).total_seconds()), failed=outcome)
