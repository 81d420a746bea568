"""What all processes of a Ray cluster of ours agree on: places in the file system, and Ray's own switches."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from flowrun_api import environment

# Ray puts sockets below, and the path of a socket has at most 107 bytes, 64 of which are Ray's.
_NAME_LENGTH = 20

ENVIRONMENT = {
    # The stock 30 s in which SIGTERM waits for a busy node are for nodes that others still count on.
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Whether a lost task may run again is decided on the worker (`worker.lost_task_policy`), not by Ray for ever.
    "RAY_task_oom_retries": "0",
    # Nobody collects them: the agent that would is not started.
    "RAY_enable_metrics_collection": "0",
    # For the dashboard's list of tasks; Prefect has its own.
    "RAY_task_events_report_interval_ms": "0",
    "RAY_event_stats": "0",
    # Task processes start with the node, not with the first task, and import prefect before they take one.
    "RAY_enable_worker_prestart": "1",
    "RAY_preload_python_modules": "prefect_flowrun.engines.ray.preload",
}


def write_ready(path: Path, address: str) -> None:
    """Say that a driver can connect.

    Args:
        path: of the ready file.
        address: of the head.
    """
    new = path.with_suffix(".new")
    new.write_text(address)
    new.replace(path)


def temp_dir(cluster: str) -> Path:
    """Return the folder of a cluster's head in the driver: each has its own, since Ray's default holds only one.

    Args:
        cluster: name of the cluster within the run.
    """
    cluster = cluster.replace("/", "-")
    short = cluster if len(cluster) <= _NAME_LENGTH else f"{cluster[:11]}-{zlib.crc32(cluster.encode()):08x}"
    own = os.environ.get(environment.RAY_FOLDER)
    return Path(own or Path(os.environ.get("TMPDIR") or "/tmp") / "flowrun-ray") / short  # noqa: S108


def ready_file(cluster: str) -> Path:
    """Return the file that the head writes once a driver can connect.

    Waiting for its port only would lose 9 s: `ray.init` sleeps while the head's own node is not registered.

    Args:
        cluster: name of the cluster within the run.
    """
    return temp_dir(cluster) / "ready"


def own_ip() -> str | None:
    """Return the address under which the other nodes reach this one; None outside a pod."""
    return os.environ.get(environment.POD_IP)


def with_dashboard(environment: dict[str, str]) -> dict[str, str]:
    """Return the switches for a cluster with a dashboard, which shows tasks and metrics.

    Args:
        environment: usually `ENVIRONMENT`.
    """
    shown = ("RAY_enable_metrics_collection", "RAY_task_events_report_interval_ms")
    return {name: value for name, value in environment.items() if name not in shown}
