"""What a driver's Job tells."""

from __future__ import annotations

from flowrun_operator.model import JobFacts, Problem
from flowrun_operator.observe.fields import Raw, at, condition, time_at


def job_facts(raw: Raw, explanation: Problem | None = None) -> JobFacts:
    """Return the facts of a Job.

    Args:
        raw: The Job as the API server gives it.
        explanation: What its events say while it has no pod, if somebody had to ask.
    """
    return JobFacts(
        name=at(raw, "metadata", "name"),
        uid=at(raw, "metadata", "uid"),
        created_at=time_at(raw, "metadata", "creationTimestamp"),
        deleting=at(raw, "metadata", "deletionTimestamp") is not None,
        finished=_is_true(raw, "Complete") or _is_true(raw, "Failed"),
        succeeded=_is_true(raw, "Complete"),
        failure=_failure(raw),
        problem=explanation,
    )


def _is_true(raw: Raw, type_: str) -> bool:
    found = condition(raw, type_)
    return found is not None and found.get("status") == "True"


def _failure(raw: Raw) -> Problem | None:
    # FailureTarget comes as soon as the Job is doomed, Failed only when its pods are gone.
    for type_ in ("FailureTarget", "Failed"):
        found = condition(raw, type_)
        if found is not None and found.get("status") == "True":
            return Problem(str(found.get("reason", "")), str(found.get("message", "")))
    return None
