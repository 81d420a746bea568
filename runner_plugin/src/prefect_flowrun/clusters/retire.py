"""Let idle workers of a cluster go, and no others: their processes end by themselves, with exit code 0.

A worker that gets a task while this decides is not idle: each engine decides where its tasks are placed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler

    from prefect_flowrun.engines.base import Engine
    from prefect_flowrun.engines.dask.engine import DaskEngine

RAY_TIMEOUT_S = 5.0
# Advice for tasks that run; there are none on an idle node.
RAY_DEADLINE_S = 30.0


def retire_idle(engine: Engine, count: int, idle_s: float) -> int:
    """Let idle workers go.

    Args:
        engine: connected to the cluster.
        count: at most so many.
        idle_s: for how long a worker must have been idle, where the engine knows that.

    Returns:
        How many go.
    """
    if engine.package == "ray":
        return _retire_ray(count, idle_s)
    client = cast("DaskEngine", engine).client
    # By reference: importing this module costs the scheduler nothing.
    return cast("int", client.run_on_scheduler(retire_on_scheduler, count=count))


async def retire_on_scheduler(count: int, dask_scheduler: Scheduler) -> int:
    """Retire idle workers, the emptiest first. Runs on Dask's scheduler, where no task can come in between.

    Args:
        count: at most so many.
        dask_scheduler: filled in by Dask.
    """
    idle = [worker for worker in dask_scheduler.workers.values() if not worker.processing]
    idle.sort(key=lambda worker: worker.nbytes)
    addresses = [worker.address for worker in idle[:count]]
    if not addresses:
        return 0
    retired: dict[str, Any] = await dask_scheduler.retire_workers(workers=addresses, close_workers=True)
    return len(retired)


def _retire_ray(count: int, idle_s: float) -> int:
    """Drain idle nodes; the head refuses for a node that has just got work."""
    import ray  # noqa: PLC0415 - is loaded if this is called
    from ray._raylet import GcsClient  # type: ignore[attr-defined] # noqa: PLC0415
    from ray.autoscaler.v2.sdk import get_cluster_resource_state  # noqa: PLC0415
    from ray.core.generated import autoscaler_pb2  # noqa: PLC0415

    client = GcsClient(address=ray.get_runtime_context().gcs_address)
    idle = [
        node
        for node in get_cluster_resource_state(client).node_states
        if node.status == autoscaler_pb2.NodeStatus.IDLE
        and node.total_resources.get("CPU", 0) > 0
        and node.idle_duration_ms >= idle_s * 1000
    ]
    idle.sort(key=lambda node: node.idle_duration_ms, reverse=True)
    gone = 0
    for node in idle[:count]:
        accepted, _ = client.drain_node(
            node.node_id.hex(),
            autoscaler_pb2.DrainNodeReason.DRAIN_NODE_REASON_IDLE_TERMINATION,
            "no task needs this worker",
            int((time.time() + RAY_DEADLINE_S) * 1000),
            timeout=RAY_TIMEOUT_S,
        )
        gone += accepted
    return gone
