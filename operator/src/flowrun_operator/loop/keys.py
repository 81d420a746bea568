"""Keys of the work queue."""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    """A FlowRun or TaskCluster to reconcile."""

    kind: str
    namespace: str
    name: str
