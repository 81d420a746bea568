"""Cancelling, from Kubernetes and from Prefect: one end in both, for the run and for its tasks."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from cluster_tools import Cluster, Raw, code, flow_run, live, start_long, wait_task_runs_ended

CANCELLING = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
Told = Callable[[str, object], None]


def cancel_in_prefect(ns: Cluster, flow_run_id: str) -> Raw:
    """Do what the button in Prefect's UI does; return Prefect's answer."""
    answer: Raw = ns.prefect(f"/flow_runs/{flow_run_id}/set_state", CANCELLING)
    return answer


def wait_gone(ns: Cluster, since: float, record: Told) -> None:
    """Wait until no pod of the run runs, and no worker pod is left."""
    ns.wait_for(lambda: not ns.workers("r") and not live(ns.list("pods")), 10, "pods gone")
    record("clean_s", round(time.monotonic() - since, 1))


def cancelled_in_prefect(ns: Cluster) -> None:
    ns.wait_for(lambda: ns.prefect_runs("r")[0]["state_type"] == "CANCELLED", 20, "flow run Cancelled")
    assert len(ns.prefect_runs("r")) == 1
    tasks = wait_task_runs_ended(ns, ns.prefect_runs("r")[0]["id"], {"CANCELLED", "COMPLETED"})
    assert "CANCELLED" in {task["state_type"] for task in tasks}


@pytest.mark.parametrize("engine", ["Dask", "Ray"])
def test_F24_a_run_cancelled_in_prefect_ends_with_its_tasks(ns: Cluster, engine: str, record_property: Told) -> None:
    start_long(ns, engine, seconds=60.0)  # so that tasks run when it is cancelled
    flow = ns.prefect_runs("r")[0]
    since = time.monotonic()
    assert cancel_in_prefect(ns, flow["id"])["status"] == "ACCEPT"
    wait_gone(ns, since, record_property)
    result = ns.wait_result("r", 10)
    assert (result["status"], result["reason"]) == ("False", "FlowCancelled"), ns.describe("r")
    assert ns.run("r")["status"]["state"] == "Cancelled"
    cancelled_in_prefect(ns)
    ns.wait_clean("r", 10)


def test_F24_spec_cancel_ends_the_run_as_cancelled_in_prefect_too(ns: Cluster, record_property: Told) -> None:
    start_long(ns, seconds=60.0)
    since = time.monotonic()
    ns.patch("r", cancel=True)
    wait_gone(ns, since, record_property)
    result = ns.wait_result("r", 10)
    assert (result["status"], result["reason"]) == ("False", "Cancelled"), ns.describe("r")
    cancelled_in_prefect(ns)
    ns.wait_clean("r", 10)


def test_F24_a_driver_that_does_not_listen_is_cancelled_all_the_same(ns: Cluster, record_property: Told) -> None:
    deaf = "import time\nfrom prefect import flow\n@flow\ndef main():\n    try:\n        time.sleep(300)\n"
    deaf += "    except BaseException:\n        time.sleep(300)\n"
    ns.apply(code(text=deaf), flow_run(workers=None))
    ns.wait_for(lambda: [f for f in ns.prefect_runs("r") if f["state_type"] == "RUNNING"], 60, "flow runs")
    since = time.monotonic()
    ns.patch("r", cancel=True)
    wait_gone(ns, since, record_property)
    assert ns.wait_result("r", 10)["reason"] == "Cancelled", ns.describe("r")
    ns.wait_for(lambda: ns.prefect_runs("r")[0]["state_type"] == "CANCELLED", 20, "flow run Cancelled")


def test_F24_cancelling_a_finished_run_changes_nothing_and_says_so(ns: Cluster) -> None:
    ns.apply(code(), flow_run(parameters={"n": 2}))
    result = ns.wait_result("r", 60)
    assert result["reason"] == "FlowCompleted", ns.describe("r")
    ns.patch("r", cancel=True)
    ns.wait_for(lambda: "spec.cancel" in ns.condition("r", "DriverRunning").get("message", ""), 10, "a word about it")
    assert ns.condition("r", "Succeeded") == result
    flow = ns.prefect_runs("r")[0]
    assert cancel_in_prefect(ns, flow["id"])["status"] != "ACCEPT"
    assert ns.prefect_runs("r")[0]["state_type"] == "COMPLETED"
    assert ns.run("r")["status"]["state"] == "Succeeded"
