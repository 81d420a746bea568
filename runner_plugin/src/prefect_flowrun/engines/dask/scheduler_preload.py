"""Preload of the Dask scheduler.

What a flow submits by Dask's own client it unpickles, and so imports the flow. And it has our plugin from the start: a
scheduler that is started again under the same address has no client that would bring it.
"""

from __future__ import annotations

from typing import Any

from prefect_flowrun.engines.dask.names import NAME
from prefect_flowrun.engines.dask.scheduler_plugin import FlowRunMemory
from prefect_flowrun.source import import_path


def dask_setup(scheduler: Any) -> None:
    """Add the plugin, and find the flow's modules, now that the scheduler has imported its own.

    Args:
        scheduler: the `distributed.Scheduler` that is starting; it starts its plugins after this.
    """
    scheduler.add_plugin(FlowRunMemory(), name=NAME)
    import_path.enter()
