"""The task runs that go on in this process: only a worker knows what has begun before Prefect has heard of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

_running: set[UUID] = set()


@contextmanager
def noted(task_run_id: UUID) -> Iterator[None]:
    """Count a task run as going on.

    Args:
        task_run_id: the run.
    """
    _running.add(task_run_id)
    try:
        yield
    finally:
        _running.discard(task_run_id)


def now() -> list[str]:
    """List the ids of the task runs that go on."""
    return [str(task_run_id) for task_run_id in list(_running)]
