"""Settings of every Dask scheduler that we start: the driver's child, or the one of a laptop."""

from __future__ import annotations

from collections.abc import Mapping

SCHEDULER_CONFIG = {
    # Prefect tasks are opaque and independent: with the stock 1.1 a task can queue behind a long one while another
    # worker is free.
    "distributed.scheduler.worker-saturation": 1.0,
    # Whether a task that a lost worker had may run again is decided on the worker (`prefect_flowrun.lost`). Dask counts
    # losses of tasks that never began, and tries four times without a word.
    "distributed.scheduler.allowed-failures": 10_000,
}


def as_environment(config: Mapping[str, float]) -> dict[str, str]:
    """Return Dask settings as environment variables.

    Args:
        config: by their dotted names.
    """
    return {"DASK_" + key.upper().replace(".", "__").replace("-", "_"): str(value) for key, value in config.items()}
