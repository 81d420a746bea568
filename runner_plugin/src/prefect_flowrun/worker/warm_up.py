"""What the first task of a process would else spend a second on, done before it comes."""

from __future__ import annotations

import gc
import importlib
import sys

# What the first task of a plain flow imports, found by comparing sys.modules before and after it.
WARM_MODULES = (
    "prefect.task_engine",
    "prefect.flows",
    "prefect.tasks",
    "prefect.events.worker",
    "prefect.client.orchestration",
    "prefect.logging.configuration",
    "prefect.logging.formatters",
    "anyio._backends._asyncio",
    "prefect_flowrun.worker.prefect_logging",
    "prefect_flowrun.worker.run_task",
    "prefect_flowrun.runner.redirect",  # and the runner, which travels with each flow
)


def warm_up(entry: str) -> None:
    """Import what the first task needs, and do what Prefect does once per process.

    Args:
        entry: module of the engine's entry function.
    """
    # The import allocates much and frees little, so collecting in between is lost time (about a tenth of it).
    gc.disable()
    try:
        for module in (*WARM_MODULES, entry):
            importlib.import_module(module)
        # A third of the time of the first task, if left to it. By name, so that nothing of prefect loads before this.
        sys.modules["prefect_flowrun.worker.prefect_logging"].set_up()
        with sys.modules["prefect.context"].hydrated_context():
            pass
    finally:
        gc.freeze()
        gc.enable()
