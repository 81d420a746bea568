"""How a FlowRun reads on a terminal: pure functions from the object to words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flowrun.kube.conditions import condition

Raw = dict[str, Any]

# How the driver marks the lines of its children (`coordinators.py`): "[scheduler default] ...", "[head gpu] ...".
_COORDINATORS = ("[scheduler ", "[head ")


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


def kind_and_name(item: Raw) -> str:
    """Return what kubectl would print of a FlowRun or a TaskCluster that was created."""
    return f"{item['kind'].lower()}s.flowrun.dev/{item['metadata']['name']}"


def prefect_url(run: Raw) -> str:
    """Return where the run is in Prefect's UI, empty while or where that is not known."""
    return str(run.get("status", {}).get("flowRun", {}).get("url", ""))


def flow_run_id(run: Raw) -> str:
    """Return the id of the run in Prefect, empty while it has none."""
    return str(run.get("status", {}).get("flowRun", {}).get("id", ""))


def is_of_a_coordinator(line: str) -> bool:
    """Return whether a line of the driver's log was written by a Dask scheduler or a Ray head."""
    return line.startswith(_COORDINATORS)


def age(seconds: float) -> str:
    """Return a duration in its largest unit, as kubectl does: `42s`, `7m`, `3h`, `5d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def seconds_between(earlier: str | None, later: str | None) -> float | None:
    """Return the time between two of the API's times, in seconds; None if one of them is not known.

    Args:
        earlier: in RFC 3339.
        later: in RFC 3339.
    """
    if not earlier or not later:
        return None
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def now() -> str:
    """Return the time of now as the API writes it."""
    return datetime.now(UTC).isoformat()
