"""Start: a run without an attempt gets its first; one with a live attempt goes on."""

from datetime import datetime

from flowrun_operator.decide.plan import Continue, StartAttempt, Verdict
from flowrun_operator.model import AttemptView, RunView

# How often an unexplained wait is looked into: often at first, then ever more seldom.
_FIRST_CHECK_S = 2.0
_LONGEST_CHECK_S = 8.0


def start(view: RunView, now: datetime) -> Verdict:
    """Start the first attempt, or keep the current one going."""
    current = view.current
    if current is None:
        return StartAttempt(1)
    driver = current.driver
    known = driver is not None and driver.running and view.flow_run is not None
    return Continue(check_after_s=None if known else _check_after_s(current, now))


def _check_after_s(current: AttemptView, now: datetime) -> float:
    created = current.job.created_at if current.job else None
    age_s = (now - created).total_seconds() if created else 0.0
    return min(_LONGEST_CHECK_S, max(_FIRST_CHECK_S, age_s / 4))
