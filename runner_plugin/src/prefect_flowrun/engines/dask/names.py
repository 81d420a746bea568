"""Names by which our sides of a Dask cluster know each other, client, scheduler and workers, and our tasks."""

from __future__ import annotations

from typing import Any

NAME = "flowrun"
"""Of our plugins."""
ENTRY = "prefect_flowrun.engines.dask.entry"
"""Module of the function that tasks of ours run."""
LOST = "flowrun-lost"
"""Annotation of a task whose worker was lost with it: the next one asks what is known of it."""

# What the scheduler answers.
PUT, GET, START, BRIEFS = "flowrun_put", "flowrun_get", "flowrun_start", "flowrun_briefs"
# What it is told.
DROP, STARTED, FINISH = "flowrun-drop", "flowrun-started", "flowrun-finish"
# What it tells clients.
OUTCOME = "flowrun-outcome"
GIVEN_UP = "flowrun-given-up"
"""Topic of events, by which a client learns of tasks that were not started again."""


def is_ours(task: Any) -> bool:
    """Tell a task of ours from what flows compute by Dask's own means.

    Args:
        task: as the scheduler or a worker knows it.
    """
    return getattr(getattr(task.run_spec, "func", None), "__module__", None) == ENTRY
