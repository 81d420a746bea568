"""Deleted: what is Prefect still to be told of a run whose FlowRun was deleted before it had a result?

Who deletes a run cancels it. Garbage collection stops the driver with SIGTERM, which Prefect's engine takes for a crash
unless the flow run is Cancelling by then: so that is announced at once, and the end told for what the driver could not.

There is no object left to remember it by: it is tried for an hour, and a restart of the operator forgets it. A run with
a Prefect key of its own gets no last words: the report Job that could tell them would have no owner.
"""

from __future__ import annotations

from datetime import datetime

from flowrun_api.contract import ResultType
from flowrun_operator.decide.informed import DRIVER_SPEAKS_S, has_own_key
from flowrun_operator.decide.managed_by import managed_by
from flowrun_operator.decide.outcome import attempt_outcome
from flowrun_operator.decide.plan import Action, AnnounceCancel, DropReport, Plan, ReportToPrefect
from flowrun_operator.model import RunView

_GIVES_UP_S = 3600.0
_FIRST_CHECK_S, _LONGEST_CHECK_S = 0.5, 15.0


def last_words(view: RunView, since: datetime, now: datetime) -> Plan:
    """Decide what to say of a deleted run. An empty plan: no more.

    Args:
        view: The run as it was last known, with what is left of its children.
        since: When its deletion was noticed; the same as `now` on the first call.
        now: The time, timezone-aware.
    """
    current, url = view.current, view.prefect_api_url
    passed_s = (now - since).total_seconds()
    if current is None or not url or passed_s >= _GIVES_UP_S or not _speaks_for(view, now):
        return Plan()
    report = ReportToPrefect(current.number, url, ResultType.CANCELLED, "the FlowRun was deleted")
    if view.told == report.id or _told_by_driver(view):
        return Plan()
    actions: tuple[Action, ...] = ()
    if now == since:  # a report that the run awaits another attempt would be wrong by now
        actions = (DropReport(), AnnounceCancel(url))
    elif passed_s >= DRIVER_SPEAKS_S or (view.drivers and all(driver.ended for driver in view.drivers)):
        actions = (report,)
    return Plan(actions=actions, requeue_after_s=min(_LONGEST_CHECK_S, max(_FIRST_CHECK_S, passed_s / 8)))


def _speaks_for(view: RunView, now: datetime) -> bool:
    return not view.finished and not has_own_key(view) and managed_by(view, now) is None


def _told_by_driver(view: RunView) -> bool:
    """Whether the driver came to an end of its own; a crash that it told is what the deletion made of it."""
    outcome = attempt_outcome(view.current) if view.current else None
    return outcome is not None and outcome.reported and not outcome.infrastructure
