"""Fencing: may another attempt start, or could the driver before it still run?

At most one driver of a run lives at a time, or its flow would do its work twice. A driver has ended for certain when
its container has told how, when its pod is in a final phase, or when its pod is gone. A pod that is only being deleted
may run on: for its grace period, and on a node that does not answer for as long as nobody looks. There the API server
goes on saying Running, and only somebody who knows that the node is off can tell: by deleting the Node, by its taint
`out-of-service` (upon both the pod garbage collector sets the pod Failed, reason DeletionByPodGC, and removes it), or
by a forced deletion of the pod. So the wait has no limit of its own; `activeDeadlineSeconds` and `cancel` end it.
"""

from __future__ import annotations

from flowrun_operator.decide.outcome import place
from flowrun_operator.decide.plan import Await, StartAttempt
from flowrun_operator.model import PodFacts, RunView


def not_ended(view: RunView) -> PodFacts | None:
    """Return a driver's pod of this run that may still run; one that is out of reach before others."""
    drivers = [*view.drivers, *(a.driver for a in view.attempts if a.driver is not None)]
    return next((d for d in sorted(drivers, key=lambda d: not d.unreachable) if not d.ended), None)


def fenced(view: RunView, start: StartAttempt) -> StartAttempt | Await:
    """Return the start of an attempt, or what it must wait for."""
    driver = not_ended(view)
    if driver is None:
        return start
    if driver.unreachable:
        return Await(start.number, "NodeUnreachable", unreachable(driver, f"attempt {start.number} waits"))
    return Await(start.number, "Stopping", f"attempt {start.number} starts when {place(driver)} has ended")


def unreachable(driver: PodFacts, waiting: str) -> str:
    """Return what to say of a driver on a node that does not answer.

    Args:
        driver: The pod.
        waiting: Who waits, with the verb.
    """
    return (
        f"{place(driver)} may still run: the node does not answer. {waiting} until the node is back or the pod gone. "
        f"If the node is off for certain, delete the Node object or the pod (kubectl delete pod {driver.name} --force)"
    )
