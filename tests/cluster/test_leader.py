"""Two operators: one acts, the other takes over when it must, and one that was paused does nothing when it wakes up."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest
from cluster_tools import Cluster, code, flow_run, start_long
from node_tools import Operator

pytestmark = pytest.mark.alone
Told = Callable[[str, object], None]
TAKEOVER_S = 20 + 10  # what is promised, and a margin for a busy machine


def two(operator: Operator) -> tuple[str, str]:
    """Have two operators; return the names of the one that acts and of the standby."""
    if not operator.lease():
        pytest.skip("the operator was installed without leader election")
    operator.scale(2)
    operator.release.wait_for(lambda: operator.leader() in operator.ready(), 20, "a leader")
    # The pod of an operator that a test before has removed may still be counted.
    operator.release.wait_for(lambda: len(operator.ready()) > 1, 30, "a standby")
    leader = operator.leader()
    standby = next(name for name in operator.ready() if name != leader)
    return leader, standby


def stop(operator: Operator, pod: str) -> float:
    if not operator.send(pod, signal.SIGSTOP):
        pytest.skip("the node's processes can't be reached from here")
    return time.monotonic()


def start_another(ns: Cluster, name: str = "other") -> None:
    """Start a run that only a new leader can start; wait for its result."""
    ns.apply(flow_run(name, parameters={"n": 2}, workers=1))
    ns.wait_for(lambda: ns.driver(name), TAKEOVER_S, "the other operator acts")


def one_driver_each(ns: Cluster, *runs: str) -> None:
    for run in runs:
        assert ns.wait_result(run, 120)["status"] == "True", ns.describe(run)
        assert len(ns.list("jobs", f"flowrun.dev/run={run}")) == 1
        assert len(ns.run(run)["status"]["attempts"]) == 1
        assert [flow["run_count"] for flow in ns.prefect_runs(run)] == [1]
        ns.wait_clean(run, 10)


def test_F05_a_killed_leader_is_followed_by_the_other(ns: Cluster, operator: Operator, record_property: Told) -> None:
    leader, standby = two(operator)
    start_long(ns, n=16)
    # Stopped first, so that it has no last word; the kubelet then kills it, and does not restart its container.
    since = stop(operator, leader)
    operator.remove(leader)
    start_another(ns)
    record_property("takeover_s", round(time.monotonic() - since, 1))
    assert operator.leader() != leader
    one_driver_each(ns, "r", "other")
    assert standby in operator.ready()


def test_F05_a_killed_leader_that_restarts_goes_on(ns: Cluster, operator: Operator) -> None:
    leader, _ = two(operator)
    start_long(ns, n=8)
    if not operator.send(leader, signal.SIGKILL):
        pytest.skip("the node's processes can't be reached from here")
    start_another(ns)
    one_driver_each(ns, "r", "other")


def test_F05_a_leader_that_was_paused_starts_no_second_driver(
    ns: Cluster, operator: Operator, record_property: Told
) -> None:
    leader, standby = two(operator)
    ns.apply(code(), *(flow_run(name, parameters={"n": 2}, workers=1) for name in ("a", "b", "c")))
    restarts = operator.restarts(leader)
    since = stop(operator, leader)  # with work in hand
    try:
        start_another(ns)
        record_property("takeover_s", round(time.monotonic() - since, 1))
        assert operator.leader() == standby
    finally:
        operator.send(leader, signal.SIGCONT)
    ns.wait_for(lambda: operator.restarts(leader) > restarts, 20, "the paused one ends its process")
    start_another(ns, "later")
    assert operator.leader() == standby
    one_driver_each(ns, "a", "b", "c", "other", "later")


def test_F05_a_pause_shorter_than_the_lease_changes_nothing(ns: Cluster, operator: Operator) -> None:
    leader, _ = two(operator)
    start_long(ns, n=8)
    stop(operator, leader)
    try:
        ns.apply(flow_run("other", parameters={"n": 2}, workers=1))
        time.sleep(5)
    finally:
        operator.send(leader, signal.SIGCONT)
    start_another(ns)
    one_driver_each(ns, "r", "other")
