"""Conditions by the Kubernetes API conventions: a transition time changes only with the status."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from flowrun_api.kinds.common import Condition, ConditionStatus

# Etcd and people both prefer short messages.
MAX_MESSAGE = 1024
_OURS = {"Succeeded", "DriverRunning", "ClustersReady", "Suspended", "PrefectInformed", "Ready"}


def condition(type_: str, status: bool | None, reason: str, message: str = "") -> tuple[str, ConditionStatus, str, str]:
    """Return a condition without its bookkeeping; None means Unknown."""
    word = ConditionStatus.UNKNOWN if status is None else ConditionStatus.TRUE if status else ConditionStatus.FALSE
    return type_, word, reason, message[:MAX_MESSAGE]


def merge(
    old: Iterable[Condition],
    new: Iterable[tuple[str, ConditionStatus, str, str]],
    generation: int,
    now: datetime,
) -> list[Condition]:
    """Return the new conditions, keeping the transition time of those whose status did not change.

    Conditions that are not ours stay: of another controller, or of another version of this operator (F29).
    """
    before = {c.type: c for c in old}
    merged = []
    for type_, status, reason, message in new:
        previous = before.get(type_)
        unchanged = previous is not None and previous.status == status
        merged.append(
            Condition(
                type=type_,
                status=status,
                observed_generation=generation,
                last_transition_time=previous.last_transition_time if previous and unchanged else now,
                reason=reason,
                message=message,
            )
        )
    return merged + [c for c in before.values() if c.type not in _OURS]
