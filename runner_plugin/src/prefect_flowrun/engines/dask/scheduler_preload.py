"""Preload of the Dask scheduler: what a flow submits by Dask's own client it unpickles, and so imports the flow."""

from __future__ import annotations

from typing import Any

from prefect_flowrun.source import import_path


def dask_setup(scheduler: Any) -> None:
    """Find the flow's modules, now that the scheduler has imported its own.

    Args:
        scheduler: the `distributed.Scheduler` that is starting.
    """
    del scheduler
    import_path.enter()
