"""Memory: a limit under which an engine's processes can't even start is refused before anything is created.

Ray ends with an error from within, or is killed, or limps for minutes; no schema can compare quantities. Where no limit
is set, or one that is no quantity, nothing is known and nothing is refused.
"""

from __future__ import annotations

from flowrun_api.kinds.common import Resources
from flowrun_api.kinds.flowrun import FlowRun
from flowrun_api.kinds.taskcluster import TaskCluster
from flowrun_operator.build.quantities import in_bytes, limit
from flowrun_operator.build.template import effective_resources
from flowrun_operator.children import driver_resources
from flowrun_operator.engines import ENGINES
from flowrun_operator.model import Defaults, Problem

_MI = 2**20
# The driver without coordinators: Prefect and a small flow.
_DRIVER_FLOOR_BYTES = 128 * _MI


def run_shortage(run: FlowRun, defaults: Defaults) -> Problem | None:
    """Return which limit of a run is too low for its clusters."""
    for index, cluster in enumerate(run.spec.clusters):
        resources = effective_resources(cluster.workers, defaults.worker_resources)
        floor = ENGINES[cluster.engine].worker_floor_bytes
        where = f"clusters[{index}].workers"
        found = _shortage(resources, floor, where, f"a {cluster.engine.value} worker of cluster {cluster.name!r}")
        if found is not None:
            return found
    heads = [ENGINES[c.engine].coordinator_floor_bytes(dashboard=c.dashboard) for c in run.spec.clusters]
    if not any(heads):
        return None
    names = ", ".join(repr(c.name) for c, floor in zip(run.spec.clusters, heads, strict=True) if floor)
    floor = _DRIVER_FLOOR_BYTES + sum(heads)
    return _shortage(driver_resources(run, defaults), floor, "driver", f"a driver with the Ray head of {names}")


def standalone_shortage(cluster: TaskCluster) -> Problem | None:
    """Return which limit of a standalone cluster is too low; the operator's defaults are filled in."""
    spec = cluster.spec
    engine = ENGINES[spec.engine]
    head = engine.coordinator_floor_bytes(dashboard=spec.dashboard)
    word = f"a {spec.engine.value}"
    workers, coordinator = effective_resources(spec.workers), effective_resources(spec.coordinator)
    return _shortage(workers, engine.worker_floor_bytes, "workers", f"{word} worker") or _shortage(
        coordinator, head, "coordinator", f"{word} head"
    )


def _shortage(resources: Resources | None, floor: int, where: str, what: str) -> Problem | None:
    given = limit(resources, "memory")
    known = in_bytes(given)
    if known is None or known >= floor:
        return None
    need = f"{-(-floor // _MI)}Mi"
    return Problem(
        "InsufficientMemory",
        f"{what} needs a memory limit of at least {need}, it has {given}: raise spec.{where}.resources.limits.memory",
    )
