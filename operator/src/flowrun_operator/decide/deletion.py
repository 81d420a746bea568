"""Deletion policy: do the pods of a run that failed stay for a while, for debugging?

Only those of the last attempt, whose end is the run's: a successor never waits for them. The processes leave anyway,
since their coordinator is gone; what stays are pods with their logs, and the TaskClusters. A cancelled run is not kept:
nobody is going to ask why it ended.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from flowrun_api.contract import ResultType
from flowrun_operator.decide.plan import AttemptOutcome
from flowrun_operator.model import AttemptView, RunView

_KEPT = {ResultType.FAILED, ResultType.CRASHED}


def kept_at_end(view: RunView, outcome: AttemptOutcome) -> AttemptView | None:
    """Return the attempt whose clusters stay when the run ends like this."""
    keeps = view.run.spec.deletion_policy.kept_s > 0 and outcome.type in _KEPT
    return view.current if keeps else None


def kept(view: RunView, now: datetime) -> AttemptView | None:
    """Return the attempt of a finished run whose clusters stay for now."""
    return view.current if kept_for_s(view, now) > 0 else None


def kept_for_s(view: RunView, now: datetime) -> float:
    """Return how much longer something of a finished run stays, in seconds."""
    status, kept_s = view.run.status, view.run.spec.deletion_policy.kept_s
    if status.completion_time is None or status.state != "Failed" or kept_s == 0:
        return 0.0
    return max(0.0, (status.completion_time + timedelta(seconds=kept_s) - now).total_seconds())
