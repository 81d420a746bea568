"""Many runs of all kinds, ended in all ways, several at a time: nothing stays but the records.

FLOWRUN_ORPHAN_RUNS says how many (default 8; the published figures are for 20 and 100), FLOWRUN_ORPHAN_SEED which.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cluster_tools import Cluster, Raw, code, flow_run
from node_tools import kill_driver

Told = Callable[[str, object], None]
RUNS = int(os.environ.get("FLOWRUN_ORPHAN_RUNS", "8"))
SEED = int(os.environ.get("FLOWRUN_ORPHAN_SEED", "1"))
AT_ONCE = 3
RESOURCES = {"requests": {"cpu": "50m", "memory": "400Mi"}}
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
FLOWS = (
    (Path(__file__).parent / "ray_flows.py").read_text()
    + """

@flow(task_runner=ClusterTaskRunner())
def some(n: int = 3, seconds: float = 0.5, fail: bool = False) -> None:
    hosts(n, seconds)
    if fail:
        raise ValueError("the flow's own error")
"""
)
CLUSTERS: dict[str, Raw] = {
    "dask": {"engine": "Dask", "workers": {"replicas": 2, "resources": RESOURCES}},
    "ray": {"engine": "Ray", "workers": {"replicas": 1, "resources": RESOURCES}},
    "dask-on-demand": {"engine": "Dask", "activation": "OnDemand", "workers": {"replicas": 1, "resources": RESOURCES}},
    "ray-on-demand": {"engine": "Ray", "activation": "OnDemand", "workers": {"replicas": 1, "resources": RESOURCES}},
    "dask-elastic": {"engine": "Dask", "workers": {"minReplicas": 0, "maxReplicas": 2, "resources": RESOURCES}},
}
ENDS = ("completes", "completes", "fails", "is cancelled", "is deleted", "driver is killed", "is suspended, cancelled")


def one(ns: Cluster, number: int) -> tuple[str, str, float]:
    """Start a run, end it, wait until its workers are gone; return its uid, how it ended, and the seconds of that."""
    chance = random.Random(SEED * 1000 + number)
    kind, end = chance.choice(sorted(CLUSTERS)), chance.choice(ENDS)
    name = f"r{number}"
    patient = end in {"completes", "fails"}
    parameters: dict[str, Any] = {"fail": end == "fails", "n": 3 if patient else 30, "seconds": 0.2 if patient else 2.0}
    ns.apply(flow_run(name, "some", clusters=[{"name": "default", **CLUSTERS[kind]}], parameters=parameters))
    uid = str(ns.run(name)["metadata"]["uid"])
    if not patient:
        time.sleep(chance.uniform(0, 12))
        _end(ns, name, uid, end)
    if end != "is deleted":
        ns.wait_result(name, 180)
    since = time.monotonic()
    ns.wait_for(lambda: not ns.workers(name), 30, f"workers of {name}, {kind}, which {end}, are gone")
    return uid, f"{kind} {end}", time.monotonic() - since


def _end(ns: Cluster, name: str, uid: str, end: str) -> None:
    if end == "is deleted":
        ns.kubectl("delete", "flowruns.flowrun.dev", name)
    elif end == "driver is killed":
        ns.wait_for(lambda: kill_driver(uid, wanted=False), 60, "a driver to kill")  # it may not have started yet
    elif end.startswith("is suspended"):
        ns.patch(name, suspend=True)
        time.sleep(2)
        ns.patch(name, cancel=True)
    else:
        ns.patch(name, cancel=True)


@pytest.mark.timeout(60 + 30 * RUNS)
def test_F24_F25_runs_that_ended_in_random_ways_leave_nothing_behind(ns: Cluster, record_property: Told) -> None:
    ns.apply(code(text=FLOWS))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = list(pool.map(lambda number: one(ns, number), range(RUNS)))
    ns.wait_for(lambda: not ns.left(), 15, f"nothing left: {ns.left()} of {ended}")
    record_property("tries", RUNS)
    record_property("clean_s", round(max(seconds for _, _, seconds in ended), 1))

    def unfinished() -> list[Raw]:
        found = [(how, flow) for uid, how, _ in ended for flow in ns.prefect_runs_of_uid(uid)]
        return [{how: flow["state_name"]} for how, flow in found if flow["state_type"] not in FINAL]

    ns.wait_for(lambda: not unfinished(), 30, f"every flow run has ended: {unfinished()}")
