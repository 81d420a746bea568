"""What events tell of an object that is stuck without saying why: a missing ConfigMap, a quota, Pod Security."""

from __future__ import annotations

from flowrun_operator.model import Problem
from flowrun_operator.observe.fields import Raw, at


def explanation(events: list[Raw]) -> Problem | None:
    """Return the last that was heard of an object, if it is a warning or that an image is being pulled.

    Other news says nothing of what holds it up; the newest warning counts then.
    """
    newest = max(events, key=_seen_at, default={})
    if newest.get("reason") == "Pulling":  # it may take minutes
        return Problem("Pulling", str(newest.get("message", "")), passing=True)
    warnings = [e for e in events if e.get("type") == "Warning"]
    if not warnings:
        return None
    warning = max(warnings, key=_seen_at)
    message = str(warning.get("message", ""))
    return Problem(refusal_reason(message) or str(warning.get("reason", "Warning")), message)


def refusal_reason(message: str) -> str | None:
    """Return a reason that users know for a refusal of the API server."""
    lowered = message.lower()
    if "exceeded quota" in lowered or "must specify limits" in lowered or "must specify requests" in lowered:
        return "QuotaExceeded"
    if "violates podsecurity" in lowered:
        return "PodSecurityViolation"
    return None


def _seen_at(event: Raw) -> str:
    times = [event.get("lastTimestamp"), at(event, "series", "lastObservedTime"), event.get("eventTime")]
    return max((str(t) for t in times if t), default="")
