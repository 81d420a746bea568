"""`python -m prefect_flowrun.engines.ray.head`: the head of a Ray cluster, as a child of the driver.

Ends when one of the head's processes does, when its parent does, and at once on SIGTERM: there is nothing in a head
that outlives its run.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from types import FrameType
from typing import NoReturn

from prefect_flowrun.engines.idle import IDLE_EXIT_CODE, Idleness
from prefect_flowrun.engines.ray import settings, store_size
from prefect_flowrun.engines.ray.node import NodeOptions, RayNode

WATCH_INTERVAL_S = 0.1
IDLE_INTERVAL_S = 1.0


def main(argv: list[str] | None = None) -> NoReturn:
    """Start the head and watch it; never returns.

    Args:
        argv: command line without the program; None means the process's own.
    """
    # The kernel ends Ray's processes with this one (see `RayNode`), so there is nothing to do but leave.
    signal.signal(signal.SIGTERM, _leave)
    parent = os.getppid()
    arguments = _parse(argv)
    ready = settings.ready_file(arguments.cluster)
    ready.parent.mkdir(parents=True, exist_ok=True)
    ready.unlink(missing_ok=True)
    node = RayNode(
        NodeOptions(
            name="head",
            # A driver's container has no CPUs for tasks.
            num_cpus=0,
            temp_dir=ready.parent,
            port=arguments.port,
            object_store_bytes=store_size.fitted(arguments.object_store_memory, arguments.heads),
            dashboard_port=arguments.dashboard_port,
        )
    )
    settings.write_ready(ready, f"127.0.0.1:{arguments.port}")
    idleness = Idleness.from_env()
    next_look = 0.0
    while os.getppid() == parent:
        if dead := node.dead():
            print(f"Ray's processes ended: {', '.join(dead)}", file=sys.stderr, flush=True)  # noqa: T201
            os._exit(1)
        if idleness is not None and time.monotonic() >= next_look:
            next_look = time.monotonic() + IDLE_INTERVAL_S
            if idleness.is_over(used=node.is_used()):
                os._exit(IDLE_EXIT_CODE)
        time.sleep(WATCH_INTERVAL_S)
    os._exit(0)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(0)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Head of a Ray cluster of a FlowRun")
    parser.add_argument("--cluster", required=True, help="name of the cluster within the run")
    parser.add_argument("--port", type=int, required=True, help="port of the GCS")
    parser.add_argument("--object-store-memory", type=int, help="bytes, at most; default: as Ray chooses")
    parser.add_argument("--heads", type=int, default=1, help="how many share the container")
    parser.add_argument("--dashboard-port", type=int, help="default: no dashboard")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
