"""Attempts: what is lost is named and may be run again as the same flow run, and what ends them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from cluster_tools import BUSY_S, Cluster, Raw, code, flow_run, live, start_long, wait_task_runs_ended
from node_tools import kill_driver

Told = Callable[[str, object], None]
FLOWS = """
import os, time
from prefect import flow, task

@task(persist_result=True)
def once(i):
    return i

@task
def long(seconds):
    time.sleep(seconds)

@flow
def resumes(seconds: float = 6.0):
    assert [f.result() for f in [once.submit(i) for i in range(3)]] == [0, 1, 2]
    long.submit(seconds).result()

@flow
def says_nothing(code: int = 0):
    long.submit(0.0).result()
    os._exit(code)

@flow
def eats():
    hoard = []
    while True:
        hoard.append(b"x" * (16 << 20))
        time.sleep(0.02)
"""


def attempts(ns: Cluster) -> list[tuple[str | None, str]]:
    return [(a.get("class"), a["reason"]) for a in ns.run("r")["status"]["attempts"]]


@pytest.fixture
def claim(ns: Cluster) -> Iterator[Raw]:
    """A volume that both attempts reach, as options of pods. A volume made by hand is made free again."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    ns.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "results"}, "spec": spec})
    yield {
        "volumes": [{"name": "results", "persistentVolumeClaim": {"claimName": "results"}}],
        "volumeMounts": [{"name": "results", "mountPath": "/results"}],
    }
    bound = ns.get("pvc", "results") or {}
    ns.kubectl("delete", "flowruns.flowrun.dev", "--all", check=False)
    ns.kubectl("delete", "pvc", "results", "--timeout=60s", check=False)
    volume = bound.get("spec", {}).get("volumeName")
    if volume and ns.get("pv", volume):
        ns.kubectl("patch", "pv", volume, "-p", '{"spec":{"claimRef":null}}', namespaced=False, check=False)


def test_F20_attempts_are_one_flow_run_and_persisted_results_are_used_again(ns: Cluster, claim: Raw) -> None:
    run = flow_run(function="resumes", retryPolicy={"maxInfrastructureRetries": 1})
    run["spec"]["env"] = [{"name": "PREFECT_LOCAL_STORAGE_PATH", "value": "/results"}]
    run["spec"]["driver"] = claim
    run["spec"]["clusters"][0]["workers"] |= claim
    ns.apply(code(text=FLOWS), run)

    def stored() -> bool:
        flows = ns.prefect_runs("r")
        states = [t["state_type"] for t in ns.task_runs(flows[0]["id"])] if flows else []
        return states.count("COMPLETED") == 3

    ns.wait_for(stored, 60, "three results stored", every_s=0.1)
    kill_driver(str(ns.run("r")["metadata"]["uid"]))
    assert ns.wait_result("r", 90)["status"] == "True", ns.describe("r")
    assert attempts(ns) == [("Infrastructure", "DriverKilled"), (None, "FlowCompleted")]
    flows = ns.prefect_runs("r")
    assert [(f["state_type"], f["run_count"]) for f in flows] == [("COMPLETED", 2)]
    wait_task_runs_ended(ns, flows[0]["id"], {"COMPLETED", "CRASHED"})

    def states() -> list[str]:
        return sorted(t["state_name"] for t in ns.task_runs(flows[0]["id"]) if t["name"].startswith("once"))

    ns.wait_for(lambda: states() == ["Cached"] * 3 + ["Completed"] * 3, 20, f"three of each, not {states()}")
    ns.wait_clean("r", 10)


@pytest.mark.parametrize("exit_code", [0, 3])
def test_F20_a_driver_that_ends_without_a_result_has_crashed(ns: Cluster, exit_code: int) -> None:
    ns.apply(code(text=FLOWS), flow_run(function="says_nothing", parameters={"code": exit_code}))
    result = ns.wait_result("r", 60)
    assert (result["status"], result["reason"]) == ("False", "DriverExited"), ns.describe("r")
    assert attempts(ns) == [("Infrastructure", "DriverExited")]
    assert f"{exit_code}" in ns.run("r")["status"]["attempts"][0]["message"]
    ns.wait_clean("r", 10)
    ns.wait_for(lambda: ns.prefect_runs("r")[0]["state_type"] == "CRASHED", 20, "Prefect told")


def test_F20_a_driver_out_of_memory_is_told_as_that(ns: Cluster) -> None:
    run = flow_run(function="eats")
    run["spec"]["driver"] = {"resources": {"requests": {"memory": "300Mi"}, "limits": {"memory": "500Mi"}}}
    ns.apply(code(text=FLOWS), run)
    result = ns.wait_result("r", 90)
    assert (result["status"], result["reason"]) == ("False", "DriverOutOfMemory"), ns.describe("r")
    assert attempts(ns) == [("Infrastructure", "DriverOutOfMemory")]
    ns.wait_clean("r", 10)
    ns.wait_for(lambda: ns.prefect_runs("r")[0]["state_type"] == "CRASHED", 20, "Prefect told")


def test_F20_the_deadline_is_for_all_attempts(ns: Cluster) -> None:
    uid = start_long(ns, activeDeadlineSeconds=30, retryPolicy={"maxInfrastructureRetries": 5})
    kill_driver(uid)
    result = ns.wait_result("r", 60)
    assert (result["status"], result["reason"]) == ("False", "DeadlineExceeded"), ns.describe("r")
    assert attempts(ns) == [("Infrastructure", "DriverKilled"), ("User", "DeadlineExceeded")]
    status = ns.run("r")["status"]
    start, end = (datetime.fromisoformat(status[key]) for key in ("startTime", "completionTime"))
    assert 30 <= (end - start).total_seconds() <= 60 + BUSY_S
    ns.wait_clean("r", 10)
    ns.wait_for(lambda: ns.prefect_runs("r")[0]["state_type"] == "FAILED", 20, "Prefect told")
    wait_task_runs_ended(ns, ns.prefect_runs("r")[0]["id"], {"COMPLETED", "CRASHED", "FAILED", "CANCELLED"})


def test_workers_of_a_failed_run_are_kept_as_long_as_its_policy_says(ns: Cluster) -> None:
    ns.apply(code(), flow_run(function="fails", deletionPolicy={"type": "KeepOnFailure", "keepSeconds": 20}))
    assert ns.wait_result("r", 60)["reason"] == "FlowFailed", ns.describe("r")
    ns.wait_for(lambda: not live(ns.workers("r")), 10, "no worker runs")
    assert len(ns.workers("r")) == 2
    assert len(ns.list("taskclusters.flowrun.dev")) == 1
    assert ns.kubectl("logs", ns.workers("r")[0]["metadata"]["name"])
    ns.wait_clean("r", 30)
