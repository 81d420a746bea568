"""What a pod's object says of its main container."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flowrun_api.constants import GROUP, MAIN_CONTAINER, ROLE_DRIVER, ROLE_WORKER

Raw = dict[str, Any]


def container(pod: Raw) -> Raw:
    """Return the state of the main container, empty before it has one."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    states: list[Raw] = [status.get("state") or {} for status in statuses if status["name"] == MAIN_CONTAINER]
    return states[0] if states else {}


def running(pod: Raw) -> bool:
    """Return whether its main container runs."""
    return container(pod).get("running") is not None


def started(pod: Raw) -> bool:
    """Return whether its main container runs or has run."""
    return running(pod) or ended(pod)


def ended(pod: Raw) -> bool:
    """Return whether its main container has ended."""
    return container(pod).get("terminated") is not None


def state(pod: Raw) -> str:
    """Return in one word what becomes of a pod, as kubectl would."""
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    now = container(pod)
    for phase in ("waiting", "terminated"):
        if reason := (now.get(phase) or {}).get("reason"):
            return str(reason)
    return str(pod.get("status", {}).get("phase", "Pending"))


def label(pod: Raw, name: str) -> str:
    """Return one of our labels of a pod, empty without it.

    Args:
        pod: the pod.
        name: without our prefix.
    """
    return str((pod["metadata"].get("labels") or {}).get(f"{GROUP}/{name}", ""))


def short_name(pod: Raw, run: str) -> str:
    """Return a worker's name without what all pods of a run have in common: `default-w-3`, of a second attempt `2-...`.

    Args:
        pod: the pod.
        run: name of its FlowRun.
    """
    name = str(pod["metadata"]["name"]).removeprefix(f"{run}-")
    return name.removeprefix("1-")


@dataclass(frozen=True)
class Chosen:
    """Which pods of a run are meant.

    Args:
        drivers: the drivers.
        workers: the workers.
        names: only these workers, by number or name of the pod; empty: all.
        cluster: only workers of this one; empty: of all.
        attempt: only pods of this one; None: of all.
    """

    drivers: bool
    workers: bool
    names: frozenset[str] = frozenset()
    cluster: str = ""
    attempt: int | None = None

    def has(self, pod: Raw) -> bool:
        """Return whether a pod is meant."""
        if self.attempt is not None and label(pod, "attempt") != str(self.attempt):
            return False
        role = label(pod, "role")
        if role == ROLE_DRIVER:
            return self.drivers
        return role == ROLE_WORKER and self.workers and self._has_worker(pod)

    def _has_worker(self, pod: Raw) -> bool:
        if self.cluster and label(pod, "cluster") != self.cluster:
            return False
        name = str(pod["metadata"]["name"])
        return not self.names or name in self.names or name.rpartition("-")[2] in self.names
