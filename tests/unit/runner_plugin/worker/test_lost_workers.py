"""Workers are lost, leave early or do not fit: real drivers, schedulers, workers, and a real Prefect server."""

from __future__ import annotations

from collections import Counter

import pytest
from prefect_server import FINAL, eventually


def starts(folder):
    """How often each task was started, by the files that they wrote."""
    return {path.name: path.stat().st_size for path in folder.iterdir() if path.name != "gate"}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "starts"
    made.mkdir()
    return made


def test_a_task_that_ends_its_worker_is_crashed_and_nothing_else_suffers(drive, prefect_server, folder):
    driven = drive("losses.py:with_one_worker", {"folder": str(folder)})
    result = driven.finish(replace_lost_workers=True)
    assert (result["type"], result["reason"]) == ("COMPLETED", "FlowCompleted"), driven.output
    # retries=0: begun once, like every other; `early` had ended and its result survived the worker.
    assert starts(folder) == dict.fromkeys(("early", "doomed", "downstream", *map("innocent-{}".format, range(5))), 1)

    # One of the nine never begins, so it gets no final state.
    runs = eventually(
        lambda: prefect_server.task_runs(result["flowRunId"]),
        lambda found: len(found) == 9 and sum(run["state_type"] in FINAL for run in found) == 8,
    )
    by_state = Counter((run["name"].rpartition("-")[0], run["state_type"]) for run in runs)
    assert by_state == {("counted", "COMPLETED"): 7, ("ends_its_worker", "CRASHED"): 1, ("counted", "PENDING"): 1}
    [crashed] = [run for run in runs if run["state_type"] == "CRASHED"]
    assert "worker was lost while it ran (once, 0 re-runs allowed)" in crashed["state"]["message"]

    entries = prefect_server.log_entries(result["flowRunId"])
    assert any("The flow saw: " in entry["message"] and "worker was lost" in entry["message"] for entry in entries)
    [said] = [entry for entry in entries if entry["task_run_id"] == crashed["id"] and entry["level"] == 40]
    assert "worker was lost" in said["message"]


def test_a_task_runs_again_as_often_as_it_or_its_runner_allows(drive, prefect_server, folder):
    driven = drive("losses.py:with_two_workers", {"folder": str(folder)}, workers=2)
    result = driven.finish(replace_lost_workers=True)
    assert (result["type"], result["reason"]) == ("FAILED", "FlowFailed"), driven.output
    assert "worker was lost while it ran (2 times, 1 re-runs allowed)" in result["message"]
    assert starts(folder) == {"by-task": 2, "by-runner": 2, **{f"other-{number}": 1 for number in range(8)}}
    assert prefect_server.task_states(result["flowRunId"], expected=10) == ["COMPLETED"] * 9 + ["FAILED"]

    # The subflows' task runs: one lived, with a warning in its log; the other did not.
    subflows = [
        run["state"]["state_details"]["child_flow_run_id"] for run in prefect_server.task_runs(result["flowRunId"])
    ]
    by_task, by_runner = sorted(
        (run for child in filter(None, subflows) for run in prefect_server.final_task_runs(child, expected=1)),
        key=lambda run: run["state_type"],
    )
    assert (by_task["state_type"], by_runner["state_type"]) == ("COMPLETED", "CRASHED")
    warnings = [entry for entry in prefect_server.log_entries(by_task["flow_run_id"]) if entry["level"] == 30]
    assert [(entry["task_run_id"], entry["message"]) for entry in warnings] == [
        (by_task["id"], "The task's worker was lost (once); the task is run again, 1 of 2")
    ]


def test_no_log_line_is_lost_though_the_flow_does_not_wait_and_workers_are_killed_at_its_end(drive, prefect_server):
    driven = drive("losses.py:talks_and_leaves", workers=2)
    result = driven.finish()
    for worker in driven.workers:
        worker.kill()
    assert result["type"] == "COMPLETED", driven.output
    lines = Counter(line for line in prefect_server.logs(result["flowRunId"]) if line.startswith("line "))
    assert lines == {f"line {line} of task {number}": 1 for line in range(50) for number in range(10)}
    assert prefect_server.task_states(result["flowRunId"], expected=10) == ["COMPLETED"] * 10


def test_a_worker_of_another_version_is_refused_with_both_sides_named(drive, prefect_server, tmp_path):
    # Installed beside the real one, and found first.
    metadata = tmp_path / "image" / "prefect_flowrun-9.9.9.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: prefect-flowrun\nVersion: 9.9.9\n")
    image = {"PYTHONPATH": str(metadata.parent.parent)}
    driven = drive("flows.py:on_own_runner", worker_environment=image, fresh=True)
    result = driven.finish()
    assert (result["type"], result["reason"]) == ("FAILED", "FlowFailed")
    for part in ("worker default-0", "9.9.9 on the worker", "in the driver", "Use one image for both"):
        assert part in result["message"]
    # Nothing ran, so the worker has reported nothing; the driver has.
    [run] = prefect_server.final_task_runs(result["flowRunId"], expected=1)
    assert run["state_type"] == "CRASHED"
    assert "9.9.9 on the worker" in run["state"]["message"]


@pytest.mark.parametrize("engine", ["sequential", "threads"])
def test_the_environment_switches_an_unmodified_flow_to_the_drivers_process(drive, prefect_server, engine):
    driven = drive("greetings.py:greetings", {"names": ["arthur"]}, workers=0, FLOWRUN_ENGINE=engine)
    result = driven.finish()
    assert result["type"] == "COMPLETED", driven.output
    assert prefect_server.task_states(result["flowRunId"], expected=2) == ["COMPLETED"] * 2
