"""The Ray head as a child of the driver: its command line and settings."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from flowrun_api.contract import clusters_from_env
from prefect_flowrun.engines.ray import settings

if TYPE_CHECKING:
    from flowrun_api.contract import ClusterContract


def ray_coordinator(cluster: ClusterContract) -> tuple[list[str], dict[str, str]]:
    """Build the head's command line and the environment variables to add.

    Args:
        cluster: the cluster as the operator describes it.
    """
    argv = [sys.executable, "-P", "-m", "prefect_flowrun.engines.ray.head"]
    argv += ["--cluster", cluster.name, "--port", str(cluster.port)]
    if cluster.object_store_bytes is not None:
        heads = [each for each in clusters_from_env(os.environ) or [cluster] if each.engine == cluster.engine]
        argv += ["--object-store-memory", str(cluster.object_store_bytes), "--heads", str(len(heads))]
    if cluster.dashboard:
        argv += ["--dashboard-port", str(cluster.http_port)]
    # A driver that looks for a head must not find the one before this (a cluster on demand has several in its life).
    settings.ready_file(cluster.name).unlink(missing_ok=True)
    return argv, {"PYTHONUNBUFFERED": "1"}
