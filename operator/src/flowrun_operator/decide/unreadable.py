"""Unreadable: an object that the schema let through and the operator can't read (an older CRD, say).

It is said, and nothing is done about the object: what there is of it goes on. Others are not concerned. A status that
can't be read is left alone: the result may be in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from flowrun_api.kinds.common import ConditionStatus
from flowrun_api.kinds.flowrun import FlowRunStatus
from flowrun_operator.decide.conditions import condition, merge
from flowrun_operator.decide.plan import Plan

_SAID = 3


def unreadable(raw: Mapping[str, Any], error: ValidationError, now: datetime) -> Plan | None:
    """Return the plan that says what can't be read in a FlowRun, or None if that can't be said either.

    Args:
        raw: The object.
        error: What its model said; it never holds values.
        now: The time, timezone-aware.
    """
    faults = [(".".join(str(part) for part in e["loc"]), e["msg"]) for e in error.errors(include_url=False)]
    if any(path.startswith("status") for path, _ in faults):
        return None
    status = FlowRunStatus.model_validate(raw.get("status") or {})
    if any(c.type == "Succeeded" and c.status is not ConditionStatus.UNKNOWN for c in status.conditions):
        return None
    said = "; ".join(f"{path}: {text}" for path, text in faults[:_SAID])
    message = f"the operator can't read this object: {said}. Upgrade the CRDs with the chart, or create the run anew"
    generation = raw.get("metadata", {}).get("generation", 0)
    news = merge(status.conditions, [condition("Succeeded", None, "Unreadable", message)], generation, now)
    conditions = [*news, *(c for c in status.conditions if c.type != "Succeeded")]
    return Plan(status=status.model_copy(update={"conditions": conditions, "observed_generation": generation}))
