"""All that can happen to a run without a fault: each scenario is one story, from `kubectl apply` to its end.

A scenario's user acts at fixed times. `exact` says that the end does not depend on when the operator hears of it, so
that a fault that only delays must lead to the very same end.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from flowrun_operator.kube.errors import ApiError
from operator_testing.builders import DASK_CLUSTER, NAMESPACE, message
from operator_testing.invariants import ENVIRONMENT, PARAMETER
from operator_testing.world import World

KILLED = ("", 137)
RETRY = {"retryPolicy": {"maxInfrastructureRetries": 1}}
RETRIES = {"retryPolicy": {"maxInfrastructureRetries": 3}}
GPU = {"name": "gpu", "engine": "Ray", "activation": "OnDemand", "workers": {"replicas": 2}}
ELASTIC = {**DASK_CLUSTER, "name": "wide", "workers": {"minReplicas": 1, "maxReplicas": 4}}
FLOW = {"flow": {"entrypoint": "etl.py:etl", "parameters": {"password": PARAMETER}}}
ENV = {"env": [{"name": "TOKEN", "value": ENVIRONMENT}]}
# As a mesh or a log shipper puts it into a pod: it never ends by itself.
SIDECAR = {"driver": {"podTemplate": {"spec": {"containers": [{"name": "proxy", "image": "proxy:1"}]}}}}
IDLE = json.dumps({"reason": "Idle"})


@dataclass(frozen=True)
class Scenario:
    """One story; `foreign` names objects that are not ours and stay.

    With `race` the driver ends at the moment at which it is stopped: its Job may be kept for the log, or not.
    """

    name: str
    story: Callable[[World], Awaitable[None]]
    exact: bool = True
    race: bool = False
    foreign: frozenset[str] = field(default_factory=frozenset)


SCENARIOS: dict[str, Scenario] = {}


def _scenario(name: str, *, exact: bool = True, race: bool = False, foreign: str = "") -> Callable[[Any], Any]:
    def register(story: Callable[[World], Awaitable[None]]) -> Callable[[World], Awaitable[None]]:
        SCENARIOS[name] = Scenario(name, story, exact, race, frozenset(foreign.split()))
        return story

    return register


async def begin(world: World, *, wait_s: float = 5, **spec: Any) -> None:
    world.apply(**FLOW, **ENV, **spec)
    await world.work()
    await world.pass_time(wait_s)


async def end(world: World, *ends: tuple[str, int]) -> None:
    """End one driver after the other, 5 s apart: without an argument the first one successfully."""
    for attempt, (text, code) in enumerate(ends or ((message(), 0),), start=1):
        world.nodes.end_driver(attempt, text, code)
        await world.pass_time(5)


async def in_backoff(world: World) -> None:
    """Kill two attempts: the third one waits 5 s for its start."""
    await begin(world, wait_s=3, **RETRIES)
    world.nodes.end_driver(1, *KILLED)
    await world.pass_time(4)
    world.nodes.end_driver(2, *KILLED)
    await world.pass_time(2)


async def act(world: World, **spec: Any) -> None:
    """Change the spec as its user does, and let the operator see it."""
    if world.api.of("FlowRun"):
        world.set_spec(**spec)
    await world.work()
    await world.pass_time(4)


async def scale(world: World, name: str, replicas: int) -> None:
    if ("TaskCluster", NAMESPACE, name) in world.api.objects:
        world.api.change("TaskCluster", NAMESPACE, name, lambda raw: raw["spec"]["workers"].update(replicas=replicas))
    await world.pass_time(3)


async def delete(world: World) -> None:
    if world.api.of("FlowRun"):
        world.api.remove(world.run)
    await world.work()
    await world.pass_time(4)


@_scenario("success")
async def _(world: World) -> None:
    await begin(world)
    await end(world)


@_scenario("a flow that fails")
async def _(world: World) -> None:
    await begin(world)
    await end(world, (message("FAILED", "FlowFailed"), 1))


@_scenario("a killed driver")
async def _(world: World) -> None:
    await begin(world)
    await end(world, KILLED)


@_scenario("a killed driver with a retry")
async def _(world: World) -> None:
    await begin(world, **RETRY)
    await end(world, KILLED, (message(), 0))


# Not exact: with a pod watch that lags, a killed driver may be taken for a lost one, a failure of the same class.
@_scenario("drivers killed until the retries are used up", exact=False)
async def _(world: World) -> None:
    await begin(world, **RETRY)
    await end(world, KILLED, KILLED)


@_scenario("a driver with a sidecar")
async def _(world: World) -> None:
    await begin(world, **SIDECAR)
    await end(world)


# Not exact, as above.
@_scenario("a killed driver with a sidecar and a retry", exact=False)
async def _(world: World) -> None:
    await begin(world, **SIDECAR, **RETRY)
    await end(world, KILLED, (message(), 0))


@_scenario("two clusters")
async def _(world: World) -> None:
    await begin(world, clusters=[DASK_CLUSTER, {**DASK_CLUSTER, "name": "wide"}])
    await end(world)


@_scenario("Ray on demand")
async def _(world: World) -> None:
    await begin(world, wait_s=3, clusters=[DASK_CLUSTER, GPU])
    await scale(world, "etl-1-gpu", 2)
    await scale(world, "etl-1-gpu", 0)
    await end(world)


@_scenario("Ray on demand, killed, with a retry")
async def _(world: World) -> None:
    await begin(world, wait_s=3, clusters=[GPU], **RETRY)
    await scale(world, "etl-1-gpu", 2)
    await end(world, KILLED, (message(), 0))


@_scenario("an elastic cluster")
async def _(world: World) -> None:
    await begin(world, wait_s=3, clusters=[ELASTIC])
    await scale(world, "etl-1-wide", 4)
    await scale(world, "etl-1-wide", 2)
    await end(world)


@_scenario("a lost worker")
async def _(world: World) -> None:
    await begin(world)
    world.nodes.lose("etl-1-default-w-1")
    await world.pass_time(5)
    await end(world)


@_scenario("cancelled from the start")
async def _(world: World) -> None:
    await begin(world, cancel=True)


@_scenario("cancelled while the driver starts", exact=False)
async def _(world: World) -> None:
    world.nodes.starts = False
    await begin(world, wait_s=1)
    await act(world, cancel=True)


@_scenario("cancelled while it runs", exact=False)
async def _(world: World) -> None:
    await begin(world, **RETRY)
    await act(world, cancel=True)


@_scenario("cancelled between two attempts", exact=False)
async def _(world: World) -> None:
    await in_backoff(world)
    await act(world, cancel=True)


@_scenario("cancelled as the flow ends", exact=False, race=True)
async def _(world: World) -> None:
    await begin(world)
    world.nodes.end_driver()
    await act(world, cancel=True)


@_scenario("cancelled after its end", exact=False)
async def _(world: World) -> None:
    await begin(world)
    await end(world)
    await act(world, cancel=True)


@_scenario("suspended from the start", exact=False)
async def _(world: World) -> None:
    await begin(world, suspend=True)
    await act(world, suspend=False)
    await end(world)


@_scenario("suspended while the driver starts", exact=False)
async def _(world: World) -> None:
    world.nodes.starts = False
    await begin(world, wait_s=1)
    await act(world, suspend=True)
    world.nodes.starts = True
    await act(world, suspend=False)


@_scenario("suspended while it runs", exact=False)
async def _(world: World) -> None:
    await begin(world)
    await act(world, suspend=True)
    await act(world, suspend=False)


@_scenario("suspended between two attempts", exact=False)
async def _(world: World) -> None:
    await in_backoff(world)
    await act(world, suspend=True)
    await act(world, suspend=False)


@_scenario("suspended and then cancelled", exact=False)
async def _(world: World) -> None:
    await begin(world)
    await act(world, suspend=True)
    await act(world, cancel=True)


@_scenario("suspended after its end", exact=False)
async def _(world: World) -> None:
    await begin(world)
    await end(world)
    await act(world, suspend=True)
    await act(world, suspend=False)


@_scenario("deleted while the driver starts")
async def _(world: World) -> None:
    world.nodes.starts = False
    await begin(world, wait_s=0)
    await delete(world)


@_scenario("deleted while it runs")
async def _(world: World) -> None:
    await begin(world)
    await delete(world)


@_scenario("deleted between two attempts")
async def _(world: World) -> None:
    await in_backoff(world)
    await delete(world)


@_scenario("deleted while suspended")
async def _(world: World) -> None:
    await begin(world)
    await act(world, suspend=True)
    await delete(world)


@_scenario("deleted after its end")
async def _(world: World) -> None:
    await begin(world)
    await end(world)
    await delete(world)


@_scenario("deleted and created anew", exact=False)
async def _(world: World) -> None:
    await begin(world)
    await delete(world)
    await begin(world)
    await end(world)


@_scenario("a passed deadline", exact=False, race=True)
async def _(world: World) -> None:
    await begin(world, activeDeadlineSeconds=8)
    await world.pass_time(10)


@_scenario("a passed start-up deadline", exact=False)
async def _(world: World) -> None:
    world.nodes.starts = False
    await begin(world, startupDeadlineSeconds=6, **RETRY)
    await world.pass_time(8)


@_scenario("a record that goes after 5 s")
async def _(world: World) -> None:
    await begin(world, ttlSecondsAfterFinished=5)
    await end(world)
    await world.pass_time(6)


@_scenario("a foreign Job of the same name", foreign="etl-1", exact=False)
async def _(world: World) -> None:
    foreign = {"kind": "Job", "metadata": {"name": "etl-1", "namespace": NAMESPACE, "uid": "theirs"}, "spec": {}}
    world.api.add(foreign)
    await begin(world)
    await act(world, cancel=True)


@_scenario("a quota that is raised later")
async def _(world: World) -> None:
    quota = ApiError(403, "Forbidden", 'pods "x" is forbidden: exceeded quota: team')
    world.api.refuse = lambda verb, kind, name: quota if (verb, kind) == ("create", "Pod") else None
    await begin(world, wait_s=3)
    world.api.refuse = lambda verb, kind, name: None
    await world.pass_time(10)
    await end(world)


@_scenario("a standalone cluster that is parked when idle")
async def _(world: World) -> None:
    await _lab(world)
    world.nodes.end_driver("lab", IDLE)
    await world.pass_time(10)


@_scenario("a standalone cluster that loses its coordinator")
async def _(world: World) -> None:
    await _lab(world)
    world.nodes.end_driver("lab", *KILLED)
    await world.pass_time(12)


@_scenario("a standalone cluster that is scaled and deleted")
async def _(world: World) -> None:
    await _lab(world)
    await scale(world, "lab", 3)
    await scale(world, "lab", 1)
    world.api.remove(world.api.objects["TaskCluster", NAMESPACE, "lab"])
    await world.pass_time(4)


async def _lab(world: World) -> None:
    spec = {"engine": "Dask", "workers": {"replicas": 2, "threads": 1}, "idleAction": "Park", **ENV}
    metadata = {"name": "lab", "namespace": NAMESPACE}
    world.api.add({"apiVersion": "flowrun.dev/v1alpha1", "kind": "TaskCluster", "metadata": metadata, "spec": spec})
    await world.work()
    await world.pass_time(5)
