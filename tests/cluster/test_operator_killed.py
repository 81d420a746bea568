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


class DriverWatch:
    """Notes every driver pod that there ever was in a namespace."""

    def __init__(self, ns: Cluster) -> None:
        command = ["kubectl", "--kubeconfig", ns.kubeconfig, "-n", ns.namespace, "get", "pods", "--watch"]
        labels = r"RUN:.metadata.labels.flowrun\.dev/run,ATTEMPT:.metadata.labels.flowrun\.dev/attempt"
        command += ["-l", "flowrun.dev/role=driver", "--no-headers", "-o", f"custom-columns={labels},UID:.metadata.uid"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.seen: dict[tuple[str, int], set[str]] = defaultdict(set)
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            run, attempt, uid = line.split()
            self.seen[run, int(attempt)].add(uid)

    def stop(self) -> None:
        self._process.terminate()


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


def one(ns: Cluster, number: int) -> tuple[str, str, str]:
    """Start a run, see its end; return its name, its uid and how it was to end."""
    chance = random.Random(SEED * 1000 + number)
    name, end = f"r{number}", chance.choice(list(ENDS)) if number >= RUNS else list(ENDS)[number % len(ENDS)]
    run = flow_run(name, "some", parameters={"end": end, "seconds": round(chance.uniform(0.2, 6.0), 1)}, workers=1)
    run["spec"]["clusters"][0]["workers"]["resources"] = {"requests": {"cpu": "50m", "memory": "256Mi"}}
    run["spec"]["driver"] = {"resources": {"requests": {"cpu": "50m", "memory": "256Mi"}}}
    run["spec"]["retryPolicy"] = {"maxInfrastructureRetries": 1 if end == "retried" else 0}
    ns.apply(run)
    if end == "cancelled":
        time.sleep(chance.uniform(0, 15))
        ns.patch(name, cancel=True)
    ns.wait_result(name, 400)
    return name, str(ns.run(name)["metadata"]["uid"]), end


def lane(ns: Cluster, first: int, killed: threading.Event) -> list[tuple[str, str, str]]:
    """Do one run; a few go on with further ones until the last kill."""
    ended = [one(ns, first)]
    while first < GO_ON and not killed.is_set():
        ended.append(one(ns, first + RUNS * len(ended)))
    return ended


def as_it_was_to_be(ns: Cluster, drivers: DriverWatch, name: str, uid: str, end: str) -> None:
    """Check one run: its end here and in Prefect, and one driver for each attempt."""
    reason, state, attempts = ENDS[end]
    assert ns.condition(name, "Succeeded")["reason"] == reason, ns.describe(name)
    flows = ns.prefect_runs_of_uid(uid)
    of_run = {attempt: uids for (run, attempt), uids in drivers.seen.items() if run == name}
    assert all(len(uids) == 1 for uids in of_run.values()), of_run
    if end == "cancelled":  # perhaps before it had begun
        assert len(of_run) <= 1
        assert {flow["state_type"] for flow in flows} <= {state}
        return
    assert sorted(of_run) == list(range(1, attempts + 1))
    assert [(flow["state_type"], flow["run_count"]) for flow in flows] == [(state, attempts)]


def test_F01_F03_runs_do_not_notice_that_the_operator_is_killed(
    ns: Cluster, operator: Operator, record_property: Told
) -> None:
    if not operator.send(operator.ready()[0], signal.SIGCONT):
        pytest.skip("the node's processes can't be reached from here")
    ns.apply(code(text=FLOWS))
    drivers, killed = DriverWatch(ns), threading.Event()
    with ThreadPoolExecutor(RUNS + 1) as pool:
        killer = pool.submit(kill_now_and_then, operator, killed)
        lanes = [pool.submit(lane, ns, first, killed) for first in range(RUNS)]
        ended = [run for each in lanes for run in each.result()]
        killer.result()
    acts_again(operator)
    since = time.monotonic()
    ns.wait_for(lambda: not ns.left(), 30, f"nothing left: {ns.left()}")
    drivers.stop()
    record_property("tries", KILLS)
    record_property("clean_s", round(time.monotonic() - since, 1))
    record_property("runs", len(ended))
    ns.wait_for(lambda: all(informed(ns, name) for name, _, _ in ended), 30, "Prefect knows every end")
    for name, uid, end in ended:
        as_it_was_to_be(ns, drivers, name, uid, end)


def informed(ns: Cluster, name: str) -> bool:
    return ns.condition(name, "PrefectInformed").get("status") == "True"
