"""Afterwards: what may still change in the status of a run that has its result.

Not the result. But whether Prefect has heard of it, and a word to a user who cancels or suspends what is over: the spec
was read (`observedGeneration`), and has no effect.
"""

from __future__ import annotations

from datetime import datetime

from flowrun_api.kinds.flowrun import FlowRunStatus
from flowrun_operator.decide import informed
from flowrun_operator.decide.conditions import condition, merge
from flowrun_operator.decide.run_status import too_late
from flowrun_operator.model import RunView


def settled(view: RunView, now: datetime) -> FlowRunStatus | None:
    """Return the status of a finished run if it has to change, else None."""
    old, generation = view.run.status, view.run.metadata.generation
    news = [condition("DriverRunning", False, "Finished", too_late(view.run.spec, old.state or ""))]
    told = informed.now_known(view)
    news += [told] if told else []
    changed = {
        c.type: c
        for c in merge(old.conditions, news, generation, now)
        if any(
            c.type == o.type and (c.status, c.reason, c.message) != (o.status, o.reason, o.message)
            for o in old.conditions
        )
    }
    if not changed and old.observed_generation == generation:
        return None
    conditions = [changed.get(c.type, c) for c in old.conditions]
    return old.model_copy(update={"conditions": conditions, "observed_generation": generation})
