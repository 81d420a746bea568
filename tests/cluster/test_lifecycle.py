"""Kills, deletions and restarts: the cluster goes with its run, and nothing of it stays."""

from __future__ import annotations

import time

from cluster_tools import Cluster, code, flow_run, start_long
from node_tools import kill_driver


def test_F20_killed_driver_fails_the_run_and_takes_the_workers_along(ns: Cluster) -> None:
    uid = start_long(ns)
    kill_driver(uid)
    ns.wait_for(lambda: not ns.workers("r"), 10, "workers gone after SIGKILL of the driver")
    result = ns.wait_result("r", 10)
    assert (result["status"], result["reason"]) == ("False", "DriverKilled")
    ns.wait_clean("r", 10)
    ns.wait_for(lambda: ns.prefect_runs("r")[0]["state_type"] == "CRASHED", 15, "Prefect told")
    flow = ns.prefect_runs("r")[0]
    ns.wait_for(lambda: all(t["state_type"] != "RUNNING" for t in ns.task_runs(flow["id"])), 15, "task runs ended")


def test_F20_killed_driver_is_retried_by_policy_on_a_fresh_cluster(ns: Cluster) -> None:
    ns.apply(code(), flow_run(parameters={"n": 6, "seconds": 4.0}, retryPolicy={"maxInfrastructureRetries": 1}))
    ns.wait_for(lambda: ns.condition("r", "ClustersReady").get("status") == "True", 60, "workers ready")
    kill_driver(str(ns.run("r")["metadata"]["uid"]))
    result = ns.wait_result("r", 90)
    assert result["status"] == "True", ns.describe("r")
    attempts = ns.run("r")["status"]["attempts"]
    assert [a["reason"] for a in attempts] == ["DriverKilled", "FlowCompleted"]
    ns.wait_clean("r", 10)


def test_F25_deleting_the_run_removes_everything(ns: Cluster) -> None:
    uid = start_long(ns)
    ns.kubectl("delete", "flowruns.flowrun.dev", "r")
    ns.wait_for(lambda: not ns.list("pods") and not ns.list("jobs"), 10, "everything gone after deletion")
    ns.wait_for(lambda: not ns.list("taskclusters.flowrun.dev"), 5, "no TaskCluster")
    ended = {"CRASHED", "CANCELLED"}
    ns.wait_for(lambda: ns.prefect_runs_of_uid(uid)[0]["state_type"] in ended, 15, "Prefect told")


def test_F23_suspend_stops_the_run_and_resume_starts_it_anew(ns: Cluster) -> None:
    ns.apply(code(), flow_run(parameters={"n": 2}, suspend=True))
    ns.wait_for(lambda: ns.condition("r", "Suspended").get("status") == "True", 10, "Suspended")
    assert not ns.list("pods")
    ns.patch("r", suspend=False)
    assert ns.wait_result("r", 60)["status"] == "True", ns.describe("r")


def test_F03_operator_restarted_mid_run_changes_nothing(ns: Cluster) -> None:
    ns.apply(code(), flow_run(parameters={"n": 8, "seconds": 1.0}))
    release = Cluster(ns.kubeconfig, "flowrun-system")
    ns.wait_for(lambda: ns.condition("r", "DriverRunning").get("status") == "True", 30, "driver runs")
    release.kubectl("delete", "pod", "-l", "app.kubernetes.io/component=operator", "--grace-period=0", "--force")
    result = ns.wait_result("r", 90)
    assert result["status"] == "True", ns.describe("r")
    assert len(ns.run("r")["status"]["attempts"]) == 1
    assert len(ns.prefect_runs("r")) == 1
    ns.wait_clean("r", 10)


def test_F14_lost_worker_is_replaced(ns: Cluster) -> None:
    start_long(ns)
    before = {p["metadata"]["uid"] for p in ns.workers("r")}
    name = ns.workers("r")[0]["metadata"]["name"]
    ns.kubectl("delete", "pod", name, "--grace-period=0", "--force")

    def replaced() -> bool:
        pods = ns.workers("r")
        new = [p for p in pods if p["metadata"]["uid"] not in before]
        return len(pods) == 2 and any(p["status"].get("phase") == "Running" for p in new)

    ns.wait_for(replaced, 20, "a new worker runs")
    ns.kubectl("delete", "flowruns.flowrun.dev", "r")
    time.sleep(1)
