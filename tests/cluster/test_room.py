"""Runs that want more than a namespace's quota has."""

from __future__ import annotations

from cluster_tools import Cluster, Raw, code, flow_run

RUNS = 8


def quota(pods: int) -> Raw:
    metadata = {"name": "small"}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": str(pods)}}}


def test_eight_runs_of_six_workers_all_succeed_where_there_is_room_for_four_pods(ns: Cluster) -> None:
    ns.apply(quota(4), code())
    names = [f"r-{number}" for number in range(RUNS)]
    ns.apply(*(flow_run(name, workers=6, parameters={"n": 3}) for name in names))
    ns.wait_for(lambda: reasons(ns).count("Queued") == RUNS - 1, 60, "all but one wait for their turn")
    waiting = next(run for run in ns.list("flowruns.flowrun.dev") if reason(run) == "Queued")
    assert "quota" in condition(waiting)["message"]
    ns.wait_for(lambda: reasons(ns) == ["FlowCompleted"] * RUNS, 240, "all runs to succeed")
    assert all(len(run["status"]["attempts"]) == 1 for run in ns.list("flowruns.flowrun.dev"))


def test_runs_that_fit_side_by_side_do_not_wait(ns: Cluster) -> None:
    ns.apply(quota(8), code())
    ns.apply(*(flow_run(name, workers=2, parameters={"n": 2, "seconds": 5.0}) for name in ("one", "two")))
    ns.wait_for(lambda: reasons(ns) == ["Running", "Running"], 60, "both to run at the same time")
    ns.wait_for(lambda: reasons(ns) == ["FlowCompleted"] * 2, 120, "both to succeed")


def condition(run: Raw) -> Raw:
    found = [each for each in run.get("status", {}).get("conditions", []) if each["type"] == "Succeeded"]
    return found[0] if found else {"reason": ""}


def reason(run: Raw) -> str:
    return str(condition(run)["reason"])


def reasons(ns: Cluster) -> list[str]:
    return sorted(reason(run) for run in ns.list("flowruns.flowrun.dev"))
