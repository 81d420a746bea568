"""Reading raw objects: absent fields are normal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flowrun_api.constants import LABEL_ATTEMPT, LABEL_RUN, LABEL_STANDALONE

Raw = dict[str, Any]


def at(raw: Raw | None, *path: str) -> Any:
    """Return the value at a path, or None where any step is absent."""
    value: Any = raw
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def time_at(raw: Raw | None, *path: str) -> datetime | None:
    """Return a timestamp (RFC 3339) at a path."""
    text = at(raw, *path)
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def label(raw: Raw, name: str) -> str:
    """Return a label's value, or the empty string."""
    return str(at(raw, "metadata", "labels", name) or "")


def attempt_number(raw: Raw) -> int:
    """Return the number of the attempt to which an object belongs, or 0."""
    text = label(raw, LABEL_ATTEMPT)
    return int(text) if text.isdecimal() else 0


def family(raw: Raw) -> str:
    """Return the name under which an object is found with its siblings: of its run, or of its standalone cluster."""
    return label(raw, LABEL_RUN) or standalone(label(raw, LABEL_STANDALONE))


def standalone(task_cluster: str) -> str:
    """Return the family of a standalone cluster's children; no name of a run, which has no slash."""
    return f"taskcluster/{task_cluster}" if task_cluster else ""


def condition(raw: Raw, type_: str) -> Raw | None:
    """Return the condition of a type, or None where it isn't set."""
    found = next((c for c in at(raw, "status", "conditions") or [] if c.get("type") == type_), None)
    return found if isinstance(found, dict) else None


def owner_uid(raw: Raw) -> str:
    """Return the uid of the controlling owner, or the empty string."""
    return str(_controller(raw).get("uid", ""))


def owner_name(raw: Raw, kind: str) -> str:
    """Return the name of the controlling owner if it is of a kind, or the empty string."""
    owner = _controller(raw)
    return str(owner.get("name", "")) if owner.get("kind") == kind else ""


def _controller(raw: Raw) -> Raw:
    # At most one by Kubernetes' own rule.
    return next((o for o in at(raw, "metadata", "ownerReferences") or [] if o.get("controller")), {})
