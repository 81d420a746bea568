"""Nulls that `kubectl apply` leaves out.

It drops every key whose value is null from what it sends, wherever the schema is open; what was written stands in its
annotation. For a parameter that is the difference between None and the function's default (issue 11). `kubectl create`,
server-side apply and `flowrun run` send nulls.
"""

from __future__ import annotations

import json
from typing import Any

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def with_nulls(sent: dict[str, Any], annotations: dict[str, str], *path: str) -> dict[str, Any]:
    """Return an object with the nulls that its manifest has, and nothing else of the manifest.

    Args:
        sent: As the API server has it.
        annotations: Of the whole object.
        path: Of the object, from the root of the manifest.
    """
    try:
        written = json.loads(annotations[LAST_APPLIED])
        for name in path:
            written = written[name]
        found: dict[str, Any] = _restored(sent, written)
    # No manifest, somebody else's annotation, or one nested deeper than can be read.
    except (KeyError, TypeError, ValueError, RecursionError):
        return sent
    return found


def _restored(sent: Any, written: Any) -> Any:
    if isinstance(sent, dict) and isinstance(written, dict):
        nulls = {name: None for name, value in written.items() if value is None and name not in sent}
        return {**{name: _restored(value, written.get(name)) for name, value in sent.items()}, **nulls}
    if isinstance(sent, list) and isinstance(written, list) and len(sent) == len(written):
        return [_restored(*pair) for pair in zip(sent, written, strict=True)]
    return sent
