"""Runs that fail by their own fault: a reason and the error's first lines, in seconds, and nothing left."""

from __future__ import annotations

import pytest
from cluster_tools import Cluster, code, flow_run


def test_failing_flow_fails_the_run_with_its_error(ns: Cluster) -> None:
    ns.apply(code(), flow_run(function="fails"))
    result = ns.wait_result("r")
    assert (result["status"], result["reason"]) == ("False", "FlowFailed")
    assert "the flow's own error" in result["message"]
    assert ns.prefect_runs("r")[0]["state_type"] == "FAILED"
    ns.wait_clean("r", 10)


@pytest.mark.parametrize(
    ("change", "text", "reason", "said"),
    [
        ({"parameters": {"n": "many"}}, None, "InvalidParameters", "n"),
        ({"parameters": {"nn": 1}}, None, "InvalidParameters", "nn"),
        ({"function": "absent"}, None, "FlowLoadFailed", "absent"),
        ({}, "from prefect import flow\n@flow\ndef main(:\n    pass\n", "FlowLoadFailed", "SyntaxError"),
        ({}, "import not_there\n", "FlowLoadFailed", "not_there"),
    ],
    ids=["wrong-type", "unknown-parameter", "missing-function", "syntax-error", "missing-module"],
)
def test_bad_flow_is_told_with_reason_and_message(
    ns: Cluster, change: dict[str, object], text: str | None, reason: str, said: str
) -> None:
    ns.apply(code(text=text) if text else code(), flow_run(**change))  # type: ignore[arg-type]
    result = ns.wait_result("r", 60)
    assert (result["status"], result["reason"]) == ("False", reason), ns.describe("r")
    assert said in result["message"]
    ns.wait_clean("r", 10)


def test_unreachable_prefect_ends_the_run_with_its_address(ns: Cluster) -> None:
    ns.apply(code(), flow_run(prefect={"apiUrl": "http://127.0.0.1:9/api"}))
    result = ns.wait_result("r", 90)
    assert (result["status"], result["reason"]) == ("False", "PrefectUnreachable"), ns.describe("r")
    assert "127.0.0.1:9" in result["message"]
    ns.wait_clean("r", 10)


def test_F18_image_that_cannot_be_pulled_shows_as_condition(ns: Cluster) -> None:
    ns.apply(code(), flow_run(image="localhost:9/no/such:image", imagePullPolicy="IfNotPresent"))

    def told() -> bool:
        condition = ns.condition("r", "DriverRunning")
        return condition.get("reason") in {"ErrImagePull", "ImagePullBackOff"}

    ns.wait_for(told, 10, "condition with the pull error")
    assert "no/such:image" in ns.condition("r", "DriverRunning")["message"]
    ns.kubectl("delete", "flowruns.flowrun.dev", "r")
    ns.wait_for(lambda: not ns.list("pods"), 15, "nothing left")


def test_missing_config_map_shows_as_condition(ns: Cluster) -> None:
    ns.apply(flow_run())
    told = ns.wait_for(lambda: "code" in ns.condition("r", "DriverRunning").get("message", ""), 12, "condition")
    assert told
    assert "not found" in ns.condition("r", "DriverRunning")["message"]
    ns.kubectl("delete", "flowruns.flowrun.dev", "r")
    ns.wait_for(lambda: not ns.list("pods"), 15, "nothing left")


def test_F16_quota_that_refuses_workers_shows_as_condition(ns: Cluster) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "2"}}}
    ns.apply(quota, code(), flow_run(parameters={"n": 30, "seconds": 1.0}, workers=3))
    ns.wait_for(lambda: ns.condition("r", "ClustersReady").get("reason") == "QuotaExceeded", 10, "QuotaExceeded")
    ns.kubectl("delete", "flowruns.flowrun.dev", "r")


def test_F16_quota_that_refuses_the_driver_shows_as_condition(ns: Cluster) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}}
    ns.apply(quota, code(), flow_run(workers=None))
    ns.wait_for(lambda: ns.condition("r", "DriverRunning").get("reason") == "QuotaExceeded", 10, "QuotaExceeded")


def test_F15_foreign_object_with_our_name_is_not_adopted(ns: Cluster) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "r-1-default"},
        "spec": {"ports": [{"port": 1}]},
    }
    ns.apply(service, code(), flow_run())
    ns.wait_for(lambda: ns.condition("r", "ClustersReady").get("reason") == "NameConflict", 10, "NameConflict")
    assert "r-1-default" in ns.condition("r", "ClustersReady")["message"]
    ns.kubectl("delete", "flowruns.flowrun.dev", "r")
    assert ns.get("service", "r-1-default") is not None


def test_F19_unschedulable_workers_show_as_condition(ns: Cluster) -> None:
    run = flow_run(parameters={"n": 2})
    run["spec"]["clusters"][0]["workers"]["resources"] = {"requests": {"cpu": "500"}}
    ns.apply(code(), run)
    ns.wait_for(lambda: ns.condition("r", "ClustersReady").get("reason") == "Unschedulable", 10, "Unschedulable")
    ns.kubectl("delete", "flowruns.flowrun.dev", "r")


def test_too_little_memory_for_a_ray_worker_is_told(ns: Cluster) -> None:
    run = flow_run()
    run["spec"]["clusters"][0]["engine"] = "Ray"
    run["spec"]["clusters"][0]["workers"]["resources"] = {"limits": {"memory": "128Mi"}}
    ns.apply(code(), run)
    result = ns.wait_result("r", 10)
    assert (result["status"], result["reason"]) == ("False", "InsufficientMemory")
    assert not ns.list("pods")
