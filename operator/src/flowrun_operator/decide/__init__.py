"""Decisions: pure functions from a snapshot and the time to a plan. No I/O here (import-linter keeps it so).

A policy looks at the run and gives a verdict, or None when it has no opinion. The first verdict counts; their order is
the list below. `enact` turns the verdict into actions, `run_status` into the status.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from flowrun_operator.decide.cancellation import cancellation
from flowrun_operator.decide.cluster import decide_cluster
from flowrun_operator.decide.deadline import check_after_s, deadline
from flowrun_operator.decide.enact import enact
from flowrun_operator.decide.expiry import expiry
from flowrun_operator.decide.managed_by import managed_by
from flowrun_operator.decide.plan import Ignore, Plan, Verdict
from flowrun_operator.decide.retry import retry
from flowrun_operator.decide.room import in_turn
from flowrun_operator.decide.start import start
from flowrun_operator.decide.startup import startup
from flowrun_operator.decide.suspension import suspension
from flowrun_operator.decide.validity import validity
from flowrun_operator.decide.versions import versions
from flowrun_operator.model import RunView

__all__ = ["POLICIES", "decide_cluster", "decide_run", "verdict_on"]

Policy = Callable[[RunView, datetime], Verdict]

POLICIES: tuple[Policy, ...] = (
    managed_by,
    expiry,
    cancellation,
    validity,
    suspension,
    deadline,
    retry,
    versions,
    startup,
    start,
)


def verdict_on(view: RunView, now: datetime) -> Verdict:
    """Return the first verdict of the policies; an attempt starts only in its turn."""
    first = next((verdict for policy in POLICIES if (verdict := policy(view, now)) is not None), None)
    return in_turn(view, first)


def decide_run(view: RunView, now: datetime) -> Plan:
    """Decide what to do about a FlowRun.

    Args:
        view: The run and its children at one moment.
        now: The time, timezone-aware.
    """
    verdict = verdict_on(view, now)
    if verdict is None or isinstance(verdict, Ignore) or view.run.metadata.deletion_timestamp is not None:
        return Plan()
    plan = enact(view, verdict, now)
    looks = [look for look in (plan.requeue_after_s, check_after_s(view, now)) if look is not None]
    return plan if view.finished else replace(plan, requeue_after_s=min(looks, default=None))
