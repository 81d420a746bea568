"""Nobody there: without the operator a run ends, its workers leave, and the operator finds it so when it is back."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from cluster_tools import Cluster, code, flow_run, live, start_long, wait_task_runs_ended
from node_tools import Operator, kill_driver

Told = Callable[[str, object], None]
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def wait_over(ns: Cluster, since: float, record: Told) -> None:
    """Wait until no container of the run runs."""
    ns.wait_for(lambda: not live(ns.list("pods")), 30, f"every pod has ended: {live(ns.list('pods'))}")
    record("clean_s", round(time.monotonic() - since, 1))


def converges(ns: Cluster, operator: Operator, reason: str, state: str) -> None:
    """Bring the operator back: the result is written, Prefect is told, and nothing is started."""
    drivers = {pod["metadata"]["uid"] for pod in ns.pods("flowrun.dev/role=driver")}
    assert ns.condition("r", "Succeeded")["status"] == "Unknown"
    operator.scale(1)
    assert ns.wait_result("r", 30)["reason"] == reason, ns.describe("r")
    assert len(ns.run("r")["status"]["attempts"]) == 1
    ns.wait_for(lambda: ns.prefect_runs("r")[0]["state_type"] == state, 30, f"flow run {state}")
    wait_task_runs_ended(ns, ns.prefect_runs("r")[0]["id"], ENDED)
    assert len(ns.prefect_runs("r")) == 1
    ns.wait_clean("r", 10)
    assert {pod["metadata"]["uid"] for pod in ns.pods("flowrun.dev/role=driver")} <= drivers
    assert len(ns.list("jobs", "flowrun.dev/role=driver")) <= 1


@pytest.mark.parametrize("engine", ["Dask", "Ray"])
def test_F04_workers_end_without_the_operator_when_the_driver_dies(
    ns: Cluster, operator: Operator, engine: str, record_property: Told
) -> None:
    uid = start_long(ns, engine)
    operator.scale(0)
    since = time.monotonic()
    kill_driver(uid)
    wait_over(ns, since, record_property)
    converges(ns, operator, "DriverKilled", "CRASHED")


@pytest.mark.parametrize("engine", ["Dask", "Ray"])
def test_F04_workers_end_without_the_operator_when_the_flow_does(
    ns: Cluster, operator: Operator, engine: str, record_property: Told
) -> None:
    start_long(ns, engine, n=20)  # so long that the operator has gone when it ends
    operator.scale(0)
    ns.wait_for(lambda: not live(ns.pods("flowrun.dev/role=driver")), 60, "the driver has ended")
    wait_over(ns, time.monotonic(), record_property)
    assert ns.prefect_runs("r")[0]["state_type"] == "COMPLETED"
    converges(ns, operator, "FlowCompleted", "COMPLETED")


def test_F04_the_deadline_holds_without_the_operator(ns: Cluster, operator: Operator, record_property: Told) -> None:
    start_long(ns, n=200, activeDeadlineSeconds=25)
    operator.scale(0)
    ns.wait_for(lambda: not live(ns.pods("flowrun.dev/role=driver")), 45, "the driver has been ended")
    wait_over(ns, time.monotonic(), record_property)
    converges(ns, operator, "DeadlineExceeded", "FAILED")


@pytest.mark.parametrize("engine", ["Dask", "Ray"])
def test_F04_workers_whose_driver_never_comes_leave_without_the_operator(
    ns: Cluster, operator: Operator, engine: str, record_property: Told
) -> None:
    resources = {"requests": {"cpu": "100m", "memory": "512Mi"}}
    clusters = [{"name": "default", "engine": engine, "workers": {"replicas": 2, "resources": resources}}]
    nowhere = {"nodeSelector": {"kubernetes.io/hostname": "no-such-node"}}
    ns.apply(code(), flow_run(clusters=clusters, driver=nowhere, startupDeadlineSeconds=30))

    def run() -> list[bool]:
        return [pod["status"].get("phase") == "Running" for pod in ns.workers("r")]

    ns.wait_for(lambda: run() == [True, True], 25, f"workers run: {run()}")
    since = time.monotonic()
    operator.scale(0)
    assert run() == [True, True]  # nobody has told them to leave
    ns.wait_for(lambda: not live(ns.workers("r")), 60, "the workers have left")
    record_property("clean_s", round(time.monotonic() - since, 1))
    assert ns.condition("r", "Succeeded")["status"] == "Unknown"
    operator.scale(1)
    assert ns.wait_result("r", 30)["reason"] == "StartupDeadlineExceeded", ns.describe("r")
    ns.wait_clean("r", 10)
    assert not ns.prefect_runs("r")


def test_F04_an_attempt_goes_by_the_ttl_of_its_job_without_the_operator(
    ns: Cluster, operator: Operator, record_property: Told
) -> None:
    """The time itself is an hour at least (`tests/unit`); here is shown that all of an attempt hangs on its Job."""
    uid = start_long(ns)
    operator.scale(0)
    assert ns.list("jobs")[0]["spec"]["ttlSecondsAfterFinished"] >= 3600
    ns.kubectl("patch", "job", "r-1", "--type=merge", "-p", '{"spec": {"ttlSecondsAfterFinished": 3}}')
    kinds = ("jobs", "pods", "services", "taskclusters.flowrun.dev")

    def left() -> list[str]:
        return [f"{kind}/{item['metadata']['name']}" for kind in kinds for item in ns.list(kind, "flowrun.dev/run=r")]

    before = left()
    assert {name.partition("/")[0] for name in before} == set(kinds), before
    since = time.monotonic()
    kill_driver(uid)
    ns.wait_for(lambda: not left(), 30, f"all that the Job owns is gone: {before}")
    record_property("clean_s", round(time.monotonic() - since, 1))
    converges(ns, operator, "DriverDeleted", "CRASHED")


def test_F25_a_run_deleted_without_the_operator_leaves_nothing(
    ns: Cluster, operator: Operator, record_property: Told
) -> None:
    uid = start_long(ns)
    operator.scale(0)
    since = time.monotonic()
    ns.kubectl("delete", "flowruns.flowrun.dev", "r", "--timeout=30s")
    ns.wait_for(lambda: not ns.left() and not ns.list("pods"), 30, "nothing left")
    record_property("clean_s", round(time.monotonic() - since, 1))
    assert not ns.list("jobs")
    ns.wait_for(lambda: ns.prefect_runs_of_uid(uid)[0]["state_type"] in ENDED, 20, "the driver has told Prefect")
    wait_task_runs_ended(ns, ns.prefect_runs_of_uid(uid)[0]["id"], ENDED)
