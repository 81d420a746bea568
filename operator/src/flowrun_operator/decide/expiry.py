"""Expiry: what happens to a run that has its result.

The result is never changed again. Children are removed on every pass, so a delete that failed is repeated, and Prefect
is told until it has heard; the record goes when its time is over. The Job carries a TTL too (no shorter) and goes by
itself should the operator be dead.
"""

from datetime import datetime, timedelta

from flowrun_operator.decide import informed
from flowrun_operator.decide.deletion import kept_for_s
from flowrun_operator.decide.plan import Expire, Settle, Verdict
from flowrun_operator.model import RunView


def expiry(view: RunView, now: datetime) -> Verdict:
    """Keep a finished run until its TTL is over."""
    if not view.finished:
        return None
    completed = view.run.status.completion_time
    if completed is None:  # written in the same patch as the result; a hand-edited status may lack it
        return Settle(check_after_s=3600)
    ends = completed + timedelta(seconds=view.run.spec.ttl_seconds_after_finished)
    if now >= ends:
        return Expire()
    looks = [(ends - now).total_seconds(), informed.check_after_s(view, now), kept_for_s(view, now)]
    return Settle(check_after_s=min(look for look in looks if look))
