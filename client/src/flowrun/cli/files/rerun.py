"""A run once more: the manifest of another run with the same spec."""

from __future__ import annotations

import copy
import re
import secrets
from typing import Any

Raw = dict[str, Any]

# What says how far the earlier run should get, not what it is.
_OF_ITS_COURSE = ("suspend", "cancel")
_SUFFIX = re.compile(r"-[0-9a-f]{6}$")
# Names of children are made from it.
_NAME_LENGTH = 33


def manifest(earlier: Raw) -> Raw:
    """Return a run that does what an earlier one did, under a name of its own.

    Args:
        earlier: the FlowRun.
    """
    metadata = earlier["metadata"]
    base = _SUFFIX.sub("", metadata["name"])[:_NAME_LENGTH].rstrip("-")
    spec = copy.deepcopy(earlier["spec"])
    for field in _OF_ITS_COURSE:
        spec.pop(field, None)
    again: Raw = {"name": f"{base}-{secrets.token_hex(3)}", "annotations": {"flowrun.dev/rerun-of": metadata["name"]}}
    if labels := metadata.get("labels"):
        again["labels"] = dict(labels)
    return {"apiVersion": earlier["apiVersion"], "kind": earlier["kind"], "metadata": again, "spec": spec}
