"""A worker was lost with a task that it had started: may the task start again?

Engines would run it again by themselves (Dask four times, Ray four times, both unseen by Prefect). Here they may do so
without end, and the worker's side asks this policy before each start.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """May the task run, and how to say what has happened."""

    run: bool
    message: str = ""


def may_start(start: int, allowed: int) -> Verdict:
    """Decide about one start of a task.

    Args:
        start: number of this start; 1 if no worker was lost before.
        allowed: how often it may start again: the runner's `lost_task_retries`, or the task's own `retries`.
    """
    if start <= 1:
        return Verdict(run=True)
    lost = start - 1
    times = "once" if lost == 1 else f"{lost} times"
    if lost <= allowed:
        return Verdict(True, f"The task's worker was lost ({times}); the task is run again, {lost} of {allowed}")
    hint = "" if allowed else "; retries= of the task or lost_task_retries= of the runner would run it again"
    return Verdict(False, f"The task's worker was lost while it ran ({times}, {allowed} re-runs allowed){hint}")
