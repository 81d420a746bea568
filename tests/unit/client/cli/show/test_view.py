"""How a FlowRun reads on a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from flowrun.cli.show import view
from flowrun.kube import conditions

Raw = dict[str, Any]


def run(state: str = "Running", *conditions: tuple[str, str, str, str], **status: Any) -> Raw:
    fields = ("type", "status", "reason", "message")
    found = [dict(zip(fields, condition, strict=True)) for condition in conditions]
    return {
        "metadata": {"name": "etl", "namespace": "data", "creationTimestamp": "2026-11-24T12:00:00Z"},
        "status": {"state": state, "conditions": found, **status},
    }


NO_WORKERS = ("ClustersReady", "False", "WorkersStarting", "default: 0 of 2 workers ready")
STAGES = [
    ("before the operator has seen it", {"metadata": {}}, "Pending; no operator has looked at it yet"),
    (
        "what holds the driver up, and the workers",
        run("Starting", ("Succeeded", "Unknown", "Unschedulable", "0/1 nodes are available"), NO_WORKERS),
        "Starting; 0/1 nodes are available; default: 0 of 2 workers ready",
    ),
    (
        "all there",
        run("Running", ("Succeeded", "Unknown", "Running", "the flow runs"), workers="2/2"),
        "Running; the flow runs; 2/2 workers ready",
    ),
    (
        "a further attempt",
        run("Starting", ("Succeeded", "Unknown", "Starting", ""), attempts=[{}, {}]),
        "Starting (attempt 2)",
    ),
]


@pytest.mark.parametrize(("flow_run", "says"), [case[1:] for case in STAGES], ids=[case[0] for case in STAGES])
def test_the_stage_of_a_run_says_what_it_waits_for(flow_run: Raw, says: str) -> None:
    assert view.stage(flow_run) == says


def test_a_run_has_a_result_once_it_is_written() -> None:
    assert conditions.result({}) is None
    assert conditions.result(run("Running", ("Succeeded", "Unknown", "Running", "the flow runs"))) is None
    done = conditions.result(run("Succeeded", ("Succeeded", "True", "FlowCompleted", "")))
    assert done == conditions.Result(True, "FlowCompleted", "")
    assert str(done) == "FlowCompleted"
    failed = conditions.result(run("Failed", ("Succeeded", "False", "FlowFailed", "ValueError: no")))
    assert failed is not None
    assert not failed.succeeded
    assert str(failed) == "FlowFailed: ValueError: no"


def test_lines_of_coordinators_are_told_from_the_flows() -> None:
    assert view.is_of_a_coordinator("[scheduler default] distributed.scheduler - INFO - State start")
    assert view.is_of_a_coordinator("[head gpu] started")
    assert not view.is_of_a_coordinator("12:00:00 | INFO | Flow run 'etl' - [scheduler default] is a nice name")
    assert not view.is_of_a_coordinator("[flowrun] FlowCompleted: Completed.")


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(-3, "0s"), (42, "42s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (1e6, "11d")],
)
def test_an_age_is_in_its_largest_unit(seconds: float, says: str) -> None:
    assert view.age(seconds) == says


def test_times_of_the_api_are_counted() -> None:
    assert view.seconds_between("2026-11-24T12:00:00Z", "2026-11-24T12:01:30Z") == 90
    assert view.seconds_between("2026-11-24T12:00:00Z", "2026-11-24T12:00:01+00:00") == 1
    assert view.seconds_between(None, "2026-11-24T12:00:00Z") is None
