"""Start: a run without an attempt gets its first; one with a live attempt goes on."""

from datetime import datetime

from flowrun_operator.decide.plan import Continue, StartAttempt, Verdict
from flowrun_operator.model import RunView

# Unexplained waits are looked into this often.
_CHECK_S = 2.0


def start(view: RunView, now: datetime) -> Verdict:
    """Start the first attempt, or keep the current one going."""
    current = view.current
    if current is None:
        return StartAttempt(1)
    driver = current.driver
    starting = driver is None or not driver.running
    unknown = view.flow_run is None
    return Continue(check_after_s=_CHECK_S if starting or unknown else None)
