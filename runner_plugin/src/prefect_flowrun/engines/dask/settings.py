"""Settings of every Dask scheduler that we start: the driver's child, or the one of a laptop."""

from __future__ import annotations

from collections.abc import Mapping

SCHEDULER_CONFIG = {
    # Prefect tasks are opaque and independent: with the stock 1.1 a task can queue behind a long one while another
    # worker is free.
    "distributed.scheduler.worker-saturation": 1.0,
    # Whether a task that a lost worker had may run again is decided on the worker (`worker.lost_task_policy`). This is
    # for tasks that never get so far: workers end, again and again, while they receive what comes with one (see
    # `scheduler_plugin`, which forgives those that can't be the cause). And for computations that are none of ours.
    "distributed.scheduler.allowed-failures": 5,
}

# For a cluster on this machine, read whenever a worker is lost. It is started again; on a busy machine that can take
# longer than the stock 15 s, after which the cluster would give it up and be left with none.
LOCAL_CONFIG = {"distributed.deploy.lost-worker-timeout": "300s"}


def as_environment(config: Mapping[str, float]) -> dict[str, str]:
    """Return Dask settings as environment variables.

    Args:
        config: by their dotted names.
    """
    return {"DASK_" + key.upper().replace(".", "__").replace("-", "_"): str(value) for key, value in config.items()}
