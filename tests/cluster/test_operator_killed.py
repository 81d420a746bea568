"""The operator is killed again and again while runs go on: no run notices.

FLOWRUN_KILLS says how often (default 4), FLOWRUN_KILL_RUNS over how many runs at once (default 4); the published figure
is for 20 and 20. FLOWRUN_KILL_SEED says when.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from cluster_tools import Cluster, code, flow_run
from node_tools import Operator

KILLS = int(os.environ.get("FLOWRUN_KILLS", "4"))
RUNS = int(os.environ.get("FLOWRUN_KILL_RUNS", "4"))
SEED = int(os.environ.get("FLOWRUN_KILL_SEED", "1"))
GO_ON = 2  # so many start another run when theirs has ended, until the last kill
Told = Callable[[str, object], None]
FLOWS = """
import os, signal, time
from prefect import flow, task

@task
def nap(i, seconds):
    time.sleep(seconds)
    return i

@flow
def some(end: str, seconds: float):
    assert [f.result() for f in [nap.submit(i, seconds) for i in range(4)]] == [0, 1, 2, 3]
    if end == "retried" and os.environ["FLOWRUN_ATTEMPT"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "fails":
        raise ValueError("the flow's own error")
    if end == "cancelled":
        time.sleep(300)
"""
# How a run ends: its reason, its state in Prefect, its attempts.
ENDS = {
    "completes": ("FlowCompleted", "COMPLETED", 1),
    "fails": ("FlowFailed", "FAILED", 1),
    "retried": ("FlowCompleted", "COMPLETED", 2),
    "cancelled": ("Cancelled", "CANCELLED", 1),
}


class Watch:
    """Follows the objects of a kind in a namespace: one process, where asking again and again would take all CPUs."""

    def __init__(self, ns: Cluster, kind: str, selector: str, *columns: str) -> None:
        command = ["kubectl", "--kubeconfig", ns.kubeconfig, "-n", ns.namespace, "get", kind, "--watch"]
        named = ",".join(f"C{number}:{column}" for number, column in enumerate(columns))
        command += ["-l", selector, "--no-headers", "-o", f"custom-columns={named}"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.rows: set[tuple[str, ...]] = set()
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.rows.add(tuple(line.split()))

    def stop(self) -> None:
        self._process.terminate()


class World:
    """The namespace under test, and everything that there ever was in it."""

    def __init__(self, ns: Cluster) -> None:
        self.ns = ns
        run, attempt = r".metadata.labels.flowrun\.dev/run", r".metadata.labels.flowrun\.dev/attempt"
        self._drivers = Watch(ns, "pods", "flowrun.dev/role=driver", run, attempt, ".metadata.uid")
        succeeded = '.status.conditions[?(@.type=="Succeeded")].reason'
        self._runs = Watch(ns, "flowruns.flowrun.dev", "", ".metadata.name", ".status.completionTime", succeeded)

    def results(self, run: str) -> set[str]:
        """Return every result that a run has had."""
        return {reason for name, time_, reason in list(self._runs.rows) if name == run and time_ != "<none>"}

    def drivers(self, run: str) -> dict[int, set[str]]:
        """Return the uids of all driver pods of a run by attempt."""
        found: dict[int, set[str]] = defaultdict(set)
        for name, attempt, uid in list(self._drivers.rows):
            if name == run:
                found[int(attempt)].add(uid)
        return dict(found)

    def stop(self) -> None:
        self._drivers.stop()
        self._runs.stop()


def kill_now_and_then(operator: Operator, done: threading.Event) -> None:
    """Kill the operator's process KILLS times, each time a moment after it has begun to act."""
    chance = random.Random(SEED)
    try:
        for _ in range(KILLS):
            pod = acts_again(operator)
            time.sleep(chance.uniform(0, 4))
            before = operator.restarts(pod)
            assert operator.send(pod, signal.SIGKILL)
            seen = partial(lambda pod, before: not operator.ready() or operator.restarts(pod) > before, pod, before)
            operator.release.wait_for(seen, 20, "Kubernetes has seen its end", every_s=0.1)
    finally:
        done.set()


def acts_again(operator: Operator) -> str:
    """Wait for an operator that acts. Its pod is replaced after two deaths or so: Kubernetes waits ever longer then."""
    end = time.monotonic() + 5
    while not operator.ready() and time.monotonic() < end:
        time.sleep(0.2)
    if not operator.ready():
        for pod in operator.pods():
            operator.remove(pod["metadata"]["name"])
    operator.release.wait_for(lambda: operator.leader() in operator.ready(), 60, "an operator acts", every_s=0.1)
    return operator.leader()


def one(world: World, number: int) -> tuple[str, str]:
    """Start a run, see its end; return its name and how it was to end."""
    chance = random.Random(SEED * 1000 + number)
    name, end = f"r{number}", chance.choice(list(ENDS)) if number >= RUNS else list(ENDS)[number % len(ENDS)]
    run = flow_run(name, "some", parameters={"end": end, "seconds": round(chance.uniform(0.2, 6.0), 1)}, workers=1)
    run["spec"]["clusters"][0]["workers"]["resources"] = {"requests": {"cpu": "50m", "memory": "256Mi"}}
    run["spec"]["driver"] = {"resources": {"requests": {"cpu": "50m", "memory": "256Mi"}}}
    run["spec"]["retryPolicy"] = {"maxInfrastructureRetries": 1 if end == "retried" else 0}
    world.ns.apply(run)
    if end == "cancelled":
        time.sleep(chance.uniform(0, 15))
        world.ns.patch(name, cancel=True)
    world.ns.wait_for(lambda: world.results(name), 400, f"result of {name}")
    return name, end


def lane(world: World, first: int, killed: threading.Event) -> list[tuple[str, str]]:
    """Do one run; a few go on with further ones until the last kill."""
    ended = [one(world, first)]
    while first < GO_ON and not killed.is_set():
        ended.append(one(world, first + RUNS * len(ended)))
    return ended


def as_it_was_to_be(world: World, name: str, end: str) -> None:
    """Check one run: its end here and in Prefect, and one driver for each attempt."""
    reason, state, attempts = ENDS[end]
    assert world.results(name) == {reason}, world.ns.describe(name)
    drivers, flows = world.drivers(name), world.ns.prefect_runs(name)
    assert all(len(uids) == 1 for uids in drivers.values()), drivers
    if end == "cancelled":  # perhaps before it had begun
        assert len(drivers) <= 1
        assert {flow["state_type"] for flow in flows} <= {state}
        return
    assert sorted(drivers) == list(range(1, attempts + 1))
    assert [(flow["state_type"], flow["run_count"]) for flow in flows] == [(state, attempts)]


def informed(ns: Cluster) -> bool:
    found = [c for run in ns.list("flowruns.flowrun.dev") for c in run["status"]["conditions"]]
    return all(c["status"] == "True" for c in found if c["type"] == "PrefectInformed")


@pytest.mark.alone
@pytest.mark.timeout(900)
def test_F01_F03_runs_do_not_notice_that_the_operator_is_killed(
    ns: Cluster, operator: Operator, record_property: Told
) -> None:
    if not operator.send(operator.ready()[0], signal.SIGCONT):
        pytest.skip("the node's processes can't be reached from here")
    ns.apply(code(text=FLOWS))
    world, killed = World(ns), threading.Event()
    with ThreadPoolExecutor(RUNS + 1) as pool:
        killer = pool.submit(kill_now_and_then, operator, killed)
        lanes = [pool.submit(lane, world, first, killed) for first in range(RUNS)]
        ended = [run for each in lanes for run in each.result()]
        killer.result()
    acts_again(operator)
    since = time.monotonic()
    ns.wait_for(lambda: not ns.left(), 30, f"nothing left: {ns.left()}")
    record_property("tries", KILLS)
    record_property("runs", len(ended))
    record_property("clean_s", round(time.monotonic() - since, 1))
    ns.wait_for(lambda: informed(ns), 30, "Prefect knows every end")
    world.stop()
    for name, end in ended:
        as_it_was_to_be(world, name, end)
