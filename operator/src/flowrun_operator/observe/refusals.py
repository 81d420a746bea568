"""What a refusal of the API server means: a reason that users know, and where the way out is not plain, a hint.

The same words come as the answer to a create of ours and, from the job controller, as an event.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flowrun_operator.model import Problem

# Some messages list every constraint of the cluster: the hint must not be cut off behind them.
_SAID = 800


@dataclass(frozen=True)
class _Kind:
    """A kind of refusal, known by a pattern."""

    pattern: re.Pattern[str]
    reason: str
    hint: str = ""


def _kind(pattern: str, reason: str, hint: str = "") -> _Kind:
    return _Kind(re.compile(pattern, re.IGNORECASE | re.DOTALL), reason, hint)


# The first that fits counts.
_KINDS = (
    _kind(r"exceeded quota|must specify (limits|requests)", "QuotaExceeded"),
    _kind(r"violates podsecurity", "PodSecurityViolation"),
    _kind(
        r"security context constraint",
        "PodSecurityViolation",
        "podSecurityContext: {} in the spec, or defaults.podSecurityContext=null in the chart, leaves uid and groups "
        "to the platform",
    ),
    # Of a pod only: a Job's template is not touched by a LimitRange, what is invalid in it is the spec's.
    _kind(
        r"\bpods? \".*must be less than or equal to \S+ limit",
        "LimitRangeViolation",
        "a limit that the spec does not name comes from a LimitRange of the namespace: set requests and limits in full",
    ),
    _kind(r"(maximum|minimum) \S+ usage per|max limit to request ratio per", "LimitRangeViolation"),
    _kind(
        r"denied (the )?request:.*\blabel",
        "PolicyDenied",
        "labels of all children of a run are set by spec.podMetadata.labels",
    ),
    _kind(r"denied (the )?request\b", "PolicyDenied"),
)


def refusal(message: str, otherwise: str) -> Problem:
    """Return what a refusal means.

    Args:
        message: The API server's words.
        otherwise: The reason for one of no known kind.
    """
    kind = next((kind for kind in _KINDS if kind.pattern.search(message)), None)
    if kind is None:
        return Problem(otherwise, message)
    return Problem(kind.reason, f"{message[:_SAID]} ({kind.hint})" if kind.hint else message)
