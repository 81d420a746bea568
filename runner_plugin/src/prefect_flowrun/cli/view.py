"""How a FlowRun reads on a terminal: pure functions from the object to words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Raw = dict[str, Any]

GROUP, VERSION, PLURAL = "flowrun.dev", "v1alpha1", "flowruns"
KIND = f"{PLURAL}.{GROUP}"

# How the driver marks the lines of its children (`coordinators.py`): "[scheduler default] ...", "[head gpu] ...".
_COORDINATORS = ("[scheduler ", "[head ")


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


def stage(run: Raw) -> str:
    """Return what an active run is doing, and what it waits for, in one line."""
    status = run.get("status", {})
    attempts = len(status.get("attempts", []))
    story = [status.get("state", "Pending") + (f" (attempt {attempts})" if attempts > 1 else "")]
    if not status:
        story.append("no operator has looked at it yet")
    elif text := condition(run, "Succeeded")["message"]:
        story.append(text)
    clusters = condition(run, "ClustersReady")
    if clusters["status"] == "False" and clusters["message"]:
        story.append(clusters["message"])
    elif workers := status.get("workers"):
        story.append(f"{workers} workers ready")
    return "; ".join(story)


def prefect_url(run: Raw) -> str:
    """Return where the run is in Prefect's UI, empty while or where that is not known."""
    return str(run.get("status", {}).get("flowRun", {}).get("url", ""))


def is_of_a_coordinator(line: str) -> bool:
    """Return whether a line of the driver's log was written by a Dask scheduler or a Ray head."""
    return line.startswith(_COORDINATORS)


def table(runs: Sequence[Raw], now: datetime) -> list[str]:
    """Return runs as lines of a table, whose first line is its head.

    Args:
        runs: in the order of the lines.
        now: what ages are counted to.
    """
    rows = [["NAMESPACE", "NAME", "STATE", "REASON", "WORKERS", "AGE"], *(_row(run, now) for run in runs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _row(run: Raw, now: datetime) -> list[str]:
    metadata, status = run["metadata"], run.get("status", {})
    created = datetime.fromisoformat(metadata["creationTimestamp"])
    return [
        metadata["namespace"],
        metadata["name"],
        status.get("state", "Pending"),
        condition(run, "Succeeded")["reason"],
        status.get("workers", ""),
        age((now - created).total_seconds()),
    ]


def age(seconds: float) -> str:
    """Return a duration in its largest unit, as kubectl does: `42s`, `7m`, `3h`, `5d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"
