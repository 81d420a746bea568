"""One run, whole."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from flowrun.cli.show import advice, describe
from flowrun.cli.show.tree import stages, tree

Raw = dict[str, Any]
API = Path(__file__).parents[5] / "docs" / "api.md"


def run(**status: Any) -> Raw:
    return {
        "metadata": {"name": "etl", "namespace": "data", "creationTimestamp": "2026-11-24T12:00:00Z"},
        "spec": {"flow": {"entrypoint": "etl.py:etl"}},
        "status": status,
    }


def condition(type_: str, status: str, reason: str, message: str = "", at: str = "12:00:05") -> Raw:
    time = f"2026-11-24T{at}Z"
    return {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": time}


FAILED = run(
    state="Failed",
    startTime="2026-11-24T12:00:01Z",
    completionTime="2026-11-24T12:01:01Z",
    attempts=[
        {"number": 1, "startTime": "2026-11-24T12:00:01Z", "completionTime": "2026-11-24T12:00:31Z",
         "reason": "CoordinatorLost", "message": "the scheduler ended\nand more"},
        {"number": 2, "reason": "FlowFailed"},
    ],
    clusters=[{"name": "default", "engine": "Dask", "workers": 4, "readyWorkers": 3}],
    conditions=[condition("Succeeded", "False", "FlowFailed", "ValueError: no")],
    flowRun={"id": "1", "state": "Failed", "url": "http://prefect/1"},
)  # fmt: skip


def test_all_of_a_run_is_told() -> None:
    created = "2026-11-24T12:00:05+00:00"
    pod = {
        "metadata": {"name": "etl-2-x", "labels": {"flowrun.dev/role": "driver"}, "creationTimestamp": created},
        "spec": {"nodeName": "node-1"},
        "status": {"phase": "Failed"},
    }
    assert describe.describe(FAILED, [pod], "2026-11-24T15:00:00+00:00") == [
        "Name:     etl (namespace data)",
        "State:    Failed; FlowFailed: ValueError: no",
        "Age:      3h",
        "Took:     60s",
        "Flow:     etl.py:etl",
        "Prefect:  Failed  http://prefect/1",
        "Attempts:",
        "  1  30s     CoordinatorLost  the scheduler ended",
        "  2  active  FlowFailed",
        "Pods:",
        "  etl-2-x  driver  Failed  node-1  2h",
        "Conditions:",
        "  Succeeded  False  FlowFailed  ValueError: no",
        "Next:     flowrun logs etl, then flowrun rerun etl",
    ]


def test_an_active_run_has_clusters() -> None:
    going = run(state="Running", clusters=[{"name": "default", "engine": "Dask", "workers": 4, "readyWorkers": 3}])
    lines = describe.describe(going, [], "2026-11-24T15:00:00+00:00")
    assert lines[-3:] == ["Clusters:", "  default  Dask  3 of 4 workers ready", "Next:     flowrun watch etl"]


def test_the_next_step_is_what_one_would_type() -> None:
    assert advice.next_step({**run(), "status": {}}) == "flowrun doctor (no operator has looked at it yet)"
    assert advice.next_step(run(state="Running")) == "flowrun watch etl"
    suspended = run(state="Suspended")
    suspended["spec"]["suspend"] = True
    assert advice.next_step(suspended) == "flowrun resume etl"
    lost = run(conditions=[condition("Succeeded", "False", "NodeLost")])
    assert advice.next_step(lost) == "flowrun logs etl, then flowrun rerun etl"


def test_every_reason_with_a_next_step_is_one_of_the_api() -> None:
    documented = API.read_text()
    for reason in advice._BY_REASON:
        assert f"`{reason}`" in documented


def drawn(item: Raw, tasks: dict[str, int]) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(tree(item, tasks))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_run_is_drawn_with_its_clusters_tasks_and_stages() -> None:
    going = run(
        state="Running",
        attempts=[{"number": 1, "reason": "NodeLost"}, {"number": 2}],
        clusters=[{"name": "default", "engine": "Dask", "workers": 4, "readyWorkers": 3}],
        conditions=[
            condition("DriverRunning", "True", "Running"),
            condition("Succeeded", "Unknown", "Running", "\x1b[2J"),
        ],
    )
    text = drawn(going, {"Completed": 12, "Running": 4, "Failed": 0})
    for part in ("etl  Running (attempt 2)", "attempt 1: NodeLost", "default  Dask  3/4 workers",
                 "tasks  12 completed, 4 running", "stages  driver +5s"):  # fmt: skip
        assert part in text
    assert "failed" not in text
    assert "\x1b[2J" not in text


def test_a_stage_that_was_not_passed_is_none() -> None:
    assert stages(run(conditions=[condition("ClustersReady", "False", "WorkersStarting")])) == []
    # A run of this machine has no creation time.
    assert stages({"metadata": {"name": "etl"}, "status": FAILED["status"]}) == []
