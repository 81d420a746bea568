"""A node is cut off: what ran there may run on, so nothing takes its place twice, and all of it goes in the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from cluster_tools import SIMPLE_FLOW, Cluster, code, flow_run, start_long, wait_task_runs_ended
from node_tools import driver_attempts
from second_node import NODE, SecondNode, nodes_of, placed

pytestmark = pytest.mark.alone
Told = Callable[[str, object], None]
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@pytest.fixture(scope="module")
def node(cluster: Cluster) -> Iterator[SecondNode]:
    node = SecondNode(cluster)
    yield node
    node.down()


@pytest.fixture
def second(node: SecondNode) -> Iterator[SecondNode]:
    """The second node, whole before and after the test."""
    node.wait_whole()
    yield node
    node.wait_whole()


def attempts(ns: Cluster) -> list[tuple[str | None, str | None]]:
    return [(a.get("class"), a.get("reason")) for a in ns.run("r")["status"]["attempts"]]


def wait_unreachable(ns: Cluster, run: str) -> None:
    condition = "DriverRunning"
    ns.wait_for(lambda: ns.condition(run, condition).get("reason") == "NodeUnreachable", 90, ns.describe(run))


def wait_nothing_left(ns: Cluster, since: float, record: Told) -> None:
    ns.wait_for(lambda: not ns.left(), 60, f"nothing left: {ns.left()}")
    record("clean_s", round(time.monotonic() - since, 1))


def test_F21_the_next_attempt_waits_until_the_lost_nodes_driver_has_ended(
    ns: Cluster, second: SecondNode, record_property: Told
) -> None:
    uid = start_long(ns, n=12, driver=placed(), retryPolicy={"maxInfrastructureRetries": 1})
    assert nodes_of(ns.pods("flowrun.dev/role=driver")) == {NODE}
    second.cut()
    wait_unreachable(ns, "r")
    lost = [("Infrastructure", "NodeLost")]
    ns.wait_for(lambda: attempts(ns) == lost, 60, f"the node is given up: {ns.describe('r')}")
    ns.wait_for(lambda: not ns.workers("r"), 30, "the lost driver's workers have gone")
    # Behind the partition the driver runs on, so for as long as one looks there is no other.
    for _ in range(10):
        assert driver_attempts(uid) == {1}
        assert len(ns.list("jobs", "flowrun.dev/role=driver")) == 1
        assert ns.condition("r", "Succeeded")["status"] == "Unknown"
        time.sleep(0.5)
    since = time.monotonic()
    second.heal()

    def begun() -> bool:
        alive = driver_attempts(uid)
        assert len(alive) <= 1, alive
        return alive == {2}

    ns.wait_for(begun, 90, f"a second driver: {ns.describe('r')}", every_s=0.05)
    record_property("clean_s", round(time.monotonic() - since, 1))
    assert ns.wait_result("r", 120)["status"] == "True", ns.describe("r")
    assert attempts(ns) == [*lost, (None, "FlowCompleted")]
    flows = ns.prefect_runs("r")
    assert [(f["state_type"], f["run_count"]) for f in flows] == [("COMPLETED", 2)]
    wait_task_runs_ended(ns, flows[0]["id"], {"COMPLETED", "CRASHED"})
    ns.wait_clean("r", 10)


def test_F21_workers_of_a_lost_node_are_replaced_and_the_flow_goes_on(
    ns: Cluster, second: SecondNode, record_property: Told
) -> None:
    clusters = [{"name": "default", "engine": "Dask", "workers": {"replicas": 2, **placed()}}]
    # A task is never run twice behind its user's back: this one may be.
    retried = SIMPLE_FLOW.replace("@task(", "@task(retries=1, ")
    start_long(ns, n=12, text=retried, clusters=clusters)
    assert nodes_of(ns.workers("r")) == {NODE}
    second.cut()
    ns.wait_for(lambda: nodes_of(ns.workers("r")) == {"box"}, 90, "workers on the first node")
    assert ns.wait_result("r", 150)["status"] == "True", ns.describe("r")
    assert attempts(ns) == [(None, "FlowCompleted")]
    flows = ns.prefect_runs("r")
    assert [(f["state_type"], f["run_count"]) for f in flows] == [("COMPLETED", 1)]
    wait_task_runs_ended(ns, flows[0]["id"], {"COMPLETED"})
    since = time.monotonic()
    second.heal()
    wait_nothing_left(ns, since, record_property)


def test_F21_runs_cancelled_and_deleted_while_their_node_is_lost_leave_nothing(
    ns: Cluster, second: SecondNode, record_property: Told
) -> None:
    clusters = [{"name": "default", "engine": "Dask", "workers": {"replicas": 2, **placed()}}]
    ns.apply(code(), flow_run("deleted", clusters=clusters, driver=placed(), parameters={"n": 60, "seconds": 2.0}))
    cancelled = start_long(ns, n=60, clusters=clusters, driver=placed())
    ns.wait_for(lambda: ns.condition("deleted", "ClustersReady").get("status") == "True", 60, "the other's workers")
    deleted = str(ns.run("deleted")["metadata"]["uid"])
    assert nodes_of(ns.list("pods")) == {NODE}
    second.cut()
    wait_unreachable(ns, "r")
    ns.patch("r", cancel=True)
    ns.kubectl("delete", "flowruns.flowrun.dev", "deleted", "--timeout=30s")
    assert ns.wait_result("r", 60)["reason"] == "Cancelled", ns.describe("r")
    since = time.monotonic()
    second.heal()
    wait_nothing_left(ns, since, record_property)
    ns.wait_for(lambda: not ns.list("pods"), 20, "no pod")
    for uid in (cancelled, deleted):
        ns.wait_for(lambda uid=uid: not driver_attempts(uid), 10, "no driver runs")
        states = [flow["state_type"] for flow in ns.prefect_runs_of_uid(uid)]
        ns.wait_for(lambda uid=uid: ns.prefect_runs_of_uid(uid)[0]["state_type"] == "CANCELLED", 60, f"told: {states}")
        wait_task_runs_ended(ns, ns.prefect_runs_of_uid(uid)[0]["id"], ENDED)
