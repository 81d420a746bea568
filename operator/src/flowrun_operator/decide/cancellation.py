"""Cancellation: `spec.cancel` ends the run, in whatever state it is.

A result that came first stands: expiry is asked before.
"""

from datetime import datetime

from flowrun_api.contract import ResultType
from flowrun_api.kinds.flowrun import FailureClass
from flowrun_operator.decide.outcome import attempt_outcome
from flowrun_operator.decide.plan import AttemptOutcome, Finish, Verdict
from flowrun_operator.model import RunView


def cancellation(view: RunView, now: datetime) -> Verdict:
    """Finish a cancelled run; the driver is stopped, the workers go at once."""
    if not view.run.spec.cancel:
        return None
    current = view.current
    outcome = attempt_outcome(current) if current else None
    if outcome is not None and not outcome.infrastructure:
        return Finish(outcome)
    cancelled = AttemptOutcome(
        reason="Cancelled",
        message="spec.cancel was set",
        type=ResultType.CANCELLED,
        failure=FailureClass.USER,
        reported=False,
    )
    return Finish(cancelled, stop_driver=True)
