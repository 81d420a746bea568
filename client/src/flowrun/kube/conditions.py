"""What an object's conditions say: pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Raw = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """How a run has ended."""

    succeeded: bool
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


def condition(run: Raw, type_: str) -> Raw:
    """Return a condition of an object.

    Args:
        run: the object.
        type_: of the condition.

    Returns:
        the condition; without it one whose status is Unknown.
    """
    found: list[Raw] = [c for c in run.get("status", {}).get("conditions", []) if c["type"] == type_]
    return found[0] if found else {"type": type_, "status": "Unknown", "reason": "", "message": ""}


def result(run: Raw) -> Result | None:
    """Return how a run has ended, None while it has not."""
    succeeded = condition(run, "Succeeded")
    if succeeded["status"] not in {"True", "False"}:
        return None
    return Result(succeeded["status"] == "True", succeeded["reason"], succeeded["message"])
