"""The Dask scheduler as a child of the driver: its command line and settings."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from flowrun_api import environment
from prefect_flowrun.engines.dask.settings import SCHEDULER_CONFIG, as_environment

if TYPE_CHECKING:
    from flowrun_api.contract import ClusterContract


def dask_coordinator(cluster: ClusterContract) -> tuple[list[str], dict[str, str]]:
    """Build the scheduler's command line and the environment variables to add.

    Args:
        cluster: the cluster as the operator describes it.
    """
    argv = [sys.executable, "-P", "-m", "distributed.cli.dask_scheduler"]
    # All interfaces: the workers come from other pods, through the Service.
    listen = os.environ.get(environment.LISTEN, "")
    argv += ["--host", listen or "0.0.0.0", "--port", str(cluster.port)]  # noqa: S104
    # HTTP (health, metrics) is served on this port even without bokeh's dashboard, which costs 0.5 s of imports.
    argv += ["--dashboard-address", f"{listen}:{cluster.http_port}"]
    argv += ["--dashboard" if cluster.dashboard else "--no-dashboard"]
    argv += ["--preload", "prefect_flowrun.engines.dask.scheduler_preload"]
    if environment.IDLE_SECONDS in os.environ:
        argv += ["--preload", "prefect_flowrun.engines.dask.scheduler_idle"]
    settings = {
        **as_environment(SCHEDULER_CONFIG),
        # Turns "no worker can be scheduled" into an error of the task instead of a hang.
        "DASK_DISTRIBUTED__SCHEDULER__NO_WORKERS_TIMEOUT": f"{cluster.startup_timeout_seconds}s",
        "PYTHONUNBUFFERED": "1",
    }
    return argv, settings
