"""Runs that succeed."""

from __future__ import annotations

from pathlib import Path

import yaml
from cluster_tools import Cluster, code, flow_run

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_greetings_example_runs_all_eight_tasks_though_nobody_waits(ns: Cluster) -> None:
    ns.apply(*yaml.safe_load_all((EXAMPLES / "greetings.yaml").read_text()))
    result = ns.wait_result("greetings")
    assert result["status"] == "True", ns.describe("greetings")
    assert result["reason"] == "FlowCompleted"
    (flow,) = ns.prefect_runs("greetings")
    assert flow["state_type"] == "COMPLETED"
    assert flow["name"] == "greetings"
    assert f"flowrun:{ns.namespace}/greetings" in flow["tags"]

    def states() -> list[str]:
        return [task["state_type"] for task in ns.task_runs(flow["id"])]

    # Prefect records them from events, a little later.
    ns.wait_for(lambda: states() == ["COMPLETED"] * 8, 20, f"eight task runs Completed, not {states()}")
    ns.wait_clean("greetings", 10)


def test_tasks_run_on_the_workers_and_status_tells_the_story(ns: Cluster) -> None:
    ns.apply(code(), flow_run(parameters={"n": 8, "seconds": 0.3}))
    result = ns.wait_result("r")
    assert result["status"] == "True", ns.describe("r")
    status = ns.run("r")["status"]
    assert status["state"] == "Succeeded"
    assert status["observedGeneration"] == 1
    assert status["completionTime"] >= status["startTime"]
    assert [a["reason"] for a in status["attempts"]] == ["FlowCompleted"]
    (flow,) = ns.prefect_runs("r")
    assert status["flowRun"]["id"] == flow["id"]
    assert status["flowRun"]["url"].endswith(flow["id"])
    assert status["clusters"][0]["workers"] == 2
    ns.wait_clean("r", 10)
    driver = ns.driver("r")
    assert driver is not None, "the driver's log is kept until the TTL"
    assert driver["status"]["phase"] == "Succeeded"


def test_run_without_clusters_runs_its_tasks_in_the_driver(ns: Cluster) -> None:
    ns.apply(code(), flow_run(workers=None))
    assert ns.wait_result("r")["status"] == "True", ns.describe("r")
    assert ns.workers("r") == []


def test_record_is_removed_when_its_time_is_over(ns: Cluster) -> None:
    ns.apply(code(), flow_run(workers=None, ttlSecondsAfterFinished=3))
    ns.wait_for(lambda: ns.get("flowruns.flowrun.dev", "r") is None, 60, "FlowRun expired")
    ns.wait_for(lambda: not ns.list("pods") and not ns.list("jobs"), 20, "nothing left")
