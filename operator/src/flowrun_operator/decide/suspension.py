"""Suspension: a suspended run holds no pod. Resuming starts a new attempt that counts as no failure.

A result that came first stands: it would be lost, and the flow run twice.
"""

from datetime import datetime

from flowrun_operator.decide.outcome import attempt_outcome
from flowrun_operator.decide.plan import Hold, Verdict
from flowrun_operator.model import RunView


def suspension(view: RunView, now: datetime) -> Verdict:
    """Hold a run whose `spec.suspend` is set."""
    if not view.run.spec.suspend:
        return None
    outcome = attempt_outcome(view.current) if view.current else None
    if outcome is not None and not outcome.infrastructure:
        return None
    return Hold(reason="Suspended", message="spec.suspend is set; set it to false to go on")
