"""Runs played from beginning to end, and what is left of them."""

from __future__ import annotations

import copy

from operator_testing.faults import LATER
from operator_testing.world import World

_CHILDREN = ("TaskCluster", "Service", "Secret", "ServiceAccount", "Role", "RoleBinding")


async def play(world: World, *, end: str | None = None, exit_code: int = 0, **spec) -> None:
    """Play a run from `kubectl apply` to some seconds after its end."""
    world.apply(**spec)
    await world.work()
    await world.pass_time(8)
    world.nodes.end_driver(1, end, exit_code)
    await world.pass_time(8)
    world.nodes.end_driver(2)
    await world.pass_time(30)


def end_state(world: World) -> dict:
    """Return what must be the same whatever happened on the way: no times, no transition times."""
    clusters = {c["metadata"]["name"]: _conditions(c["status"]) for c in world.api.of("TaskCluster") if c.get("status")}
    if not world.api.of("FlowRun"):
        return {"clusters": clusters, "objects": sorted(kind for kind, _, _ in world.api.objects)}
    status = copy.deepcopy(world.status)
    return {
        "state": status.get("state"),
        "conditions": _conditions(status),
        "attempts": [(a["number"], a.get("reason")) for a in status.get("attempts", [])],
        "children": [name for kind in _CHILDREN for name in world.api.names(kind)],
        "pods": [p["metadata"]["labels"]["app.kubernetes.io/component"] for p in world.api.of("Pod")],
        "jobs": world.api.names("Job"),
        "complete": "completionTime" in status,
    }


def _conditions(status: dict) -> list[tuple[str, str, str]]:
    return [(c["type"], c["status"], c["reason"]) for c in status.get("conditions", []) if c["type"] != LATER]


async def play_on(world: World) -> None:
    await world.pass_time(10)
    world.nodes.end_driver()
    await world.pass_time(10)


async def cancel_midway(world: World) -> None:
    world.apply(retryPolicy={"maxInfrastructureRetries": 2})
    await world.work()
    await world.pass_time(5)
    world.set_spec(cancel=True)
    await world.work()
    await world.pass_time(10)


async def never_start(world: World) -> None:
    world.nodes.starts = False
    world.apply(startupDeadlineSeconds=5, retryPolicy={"maxInfrastructureRetries": 2})
    await world.work()
    await world.pass_time(20)


async def suspend_and_resume(world: World) -> None:
    world.apply()
    await world.work()
    await world.pass_time(5)
    world.set_spec(suspend=True)
    await world.work()
    await world.pass_time(5)
    world.set_spec(suspend=False)
    await world.work()
    await world.pass_time(5)
    world.nodes.end_driver(2)
    await world.pass_time(10)


DONE = {
    "state": "Succeeded",
    "conditions": [
        ("Succeeded", "True", "FlowCompleted"),
        ("DriverRunning", "False", "Finished"),
        ("ClustersReady", "False", "Finished"),
        ("Suspended", "False", "NotSuspended"),
        ("PrefectInformed", "True", "Told"),
    ],
    "attempts": [(1, "FlowCompleted")],
    "children": [],
    "pods": ["driver"],
    "jobs": ["etl-1"],
    "complete": True,
}
