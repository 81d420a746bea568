"""What events tell of an object that is stuck without saying why: a missing ConfigMap, a quota, Pod Security."""

from __future__ import annotations

from flowrun_operator.model import Problem
from flowrun_operator.observe.fields import Raw, at
from flowrun_operator.observe.refusals import refusal


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
    return refusal(str(warning.get("message", "")), str(warning.get("reason", "Warning")))


def _seen_at(event: Raw) -> str:
    times = [event.get("lastTimestamp"), at(event, "series", "lastObservedTime"), event.get("eventTime")]
    return max((str(t) for t in times if t), default="")
