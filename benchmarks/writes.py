"""API writes per user, from the audit log of the bundled cluster; elsewhere nothing is counted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from kube import ROOT

AUDIT_LOG = ROOT / ".local" / "box" / "log" / "audit.log"
# Names of users that hold for both systems; the rest of a name is its last part.
_SHORT = {"system:kube-controller-manager": "controller-manager", "system:kube-scheduler": "scheduler"}


def mark(log: Path = AUDIT_LOG) -> int | None:
    """Return where the log ends now, or None where there is none."""
    try:
        return log.stat().st_size
    except OSError:
        return None


def count(start: int | None, namespace: str, log: Path = AUDIT_LOG) -> dict[str, dict[str, int]]:
    """Count what was written to a namespace since `start`.

    Returns:
        By user: by "verb resource" the number of requests.
    """
    found: dict[str, Counter[str]] = {}
    if start is None:
        return {}
    with log.open("rb") as lines:
        lines.seek(start)
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:  # the last line, half written
                continue
            target = event.get("objectRef", {})
            if target.get("namespace") != namespace or target.get("resource") == "leases":
                continue
            resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
            # A refused request (409) is a write all the same: the server had to handle it.
            found.setdefault(user_of(event["user"]["username"]), Counter())[f"{event['verb']} {resource}"] += 1
    return {user: dict(counts) for user, counts in found.items()}


def user_of(name: str) -> str:
    if name.startswith("system:node:"):
        return "kubelet"
    return _SHORT.get(name) or name.rpartition(":")[2]


def without_workers(operator: dict[str, int]) -> int:
    """Writes of our operator beside one per worker pod."""
    return sum(operator.values()) - operator.get("create pods", 0)
