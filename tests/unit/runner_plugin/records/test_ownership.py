"""All attempts of a FlowRun are one flow run in Prefect: what an attempt does with the one that it finds."""

from __future__ import annotations

import signal

import pytest
from forked import kill

from prefect_flowrun.records.ownership import Course, decide, owner_of

ENDED = ["COMPLETED", "FAILED", "CANCELLED"]
GOING_ON = ["RUNNING", "SCHEDULED", "PAUSED"]


@pytest.mark.parametrize(
    ("states", "owner", "attempt", "course"),
    [
        (["PENDING"], 1, 1, Course.RUN),  # created, by this driver or one that has died since
        (["PENDING"], 2, 2, Course.RUN),  # taken over, not begun
        (["PENDING", "CRASHED", *GOING_ON], 1, 2, Course.TAKE_OVER),
        (["PENDING", "CRASHED", *GOING_ON], 1, 5, Course.TAKE_OVER),
        (["PENDING", "CRASHED", *GOING_ON], 0, 1, Course.TAKE_OVER),  # somebody removed the label
        (ENDED, 1, 1, Course.REPORT),
        (ENDED, 1, 2, Course.REPORT),
        (["CRASHED"], 1, 1, Course.REPORT),  # a driver that is started again
        (["CRASHED"], 2, 2, Course.REPORT),
        (["CANCELLING"], 1, 1, Course.CANCEL),
        (["CANCELLING"], 1, 2, Course.CANCEL),
        (GOING_ON, 1, 1, Course.REFUSE),  # begun by another driver of this attempt
        (GOING_ON, 3, 3, Course.REFUSE),
        (["PENDING", "CRASHED", "CANCELLING", *ENDED, *GOING_ON], 2, 1, Course.REFUSE),  # comes too late
    ],
)
def test_what_an_attempt_does_with_the_flow_run_that_it_finds(states, owner, attempt, course):
    assert {state: decide(state, owner, attempt) for state in states} == dict.fromkeys(states, course)


@pytest.mark.parametrize(("value", "number"), [("3", 3), (3, 3), ("", 0), ("x", 0), ("-1", 0), (None, 0)])
def test_a_label_that_is_no_number_names_no_attempt(value, number):
    assert owner_of({"flowrun.dev/attempt": value}) == number
    assert owner_of({}) == 0


def again(drive, first, attempt, **environment):
    """Start another driver for the same FlowRun."""
    same = {name: first.env[name] for name in ("FLOWRUN_UID", "FLOWRUN_NAME", "FLOWRUN_PARAMETERS", "PREFECT_HOME")}
    clusters = ("default",) if first.workers else ()
    return drive(first.env["FLOWRUN_ENTRYPOINT"], clusters=clusters, **same, FLOWRUN_ATTEMPT=attempt, **environment)


def test_F20_the_attempt_after_a_killed_driver_goes_on_with_the_same_flow_run_and_its_persisted_results(
    drive, prefect_server, tmp_path
):
    first = drive("attempts.py:two_steps_and_more", {"folder": str(tmp_path)})
    first.wait_for_file(tmp_path / "held")
    kill(first)
    [run] = prefect_server.flow_runs_tagged(first.tag)
    assert run["state_type"] == "RUNNING"  # nobody could tell Prefect
    (tmp_path / "gate").touch()

    second = again(drive, first, "2")
    result = second.finish()
    assert (result["type"], result["flowRunId"]) == ("COMPLETED", run["id"]), second.output
    assert {name: (tmp_path / name).stat().st_size for name in ("one", "two", "held", "three")} == {
        "one": 1,
        "two": 1,
        "held": 2,  # was not persisted, and had not ended
        "three": 1,
    }
    run = prefect_server.flow_run(run["id"])
    assert (run["state_type"], run["run_count"], run["name"]) == ("COMPLETED", 2, first.env["FLOWRUN_NAME"])
    assert run["labels"]["flowrun.dev/attempt"] == "2"
    assert any(
        line.startswith("Attempt 2 takes over this flow run, which attempt 1 left Running")
        for line in prefect_server.logs(run["id"])
    )
    # Of 'held' the first attempt's run is Crashed; of the steps each attempt has one.
    assert prefect_server.task_states(run["id"], expected=7) == ["COMPLETED"] * 6 + ["CRASHED"]

    # A driver of any attempt that comes now reports the end and runs nothing.
    for attempt in ("2", "3"):
        late = again(drive, first, attempt)
        assert late.finish()["type"] == "COMPLETED"
        assert "not run again" in late.output
    assert prefect_server.flow_run(run["id"])["run_count"] == 2


def test_a_crash_is_final_for_the_attempt_that_had_it_and_not_for_the_next(drive, prefect_server, tmp_path):
    first = drive("attempts.py:waits_for_the_gate", {"folder": str(tmp_path)}, clusters=())
    first.wait_for_file(tmp_path / "held")
    first.process.send_signal(signal.SIGTERM)
    crashed = first.finish(timeout=60)
    assert (crashed["type"], crashed["reason"]) == ("CRASHED", "Terminated")
    restarted = again(drive, first, "1")
    assert restarted.finish()["type"] == "CRASHED"
    assert prefect_server.flow_run(crashed["flowRunId"])["run_count"] == 1
    (tmp_path / "gate").touch()
    second = again(drive, first, "2").finish()
    assert (second["type"], second["flowRunId"]) == ("COMPLETED", crashed["flowRunId"])
    assert prefect_server.flow_run(crashed["flowRunId"])["run_count"] == 2


def test_F05_a_second_driver_of_an_attempt_that_runs_leaves_it_alone(drive, prefect_server, tmp_path):
    first = drive("attempts.py:waits_for_the_gate", {"folder": str(tmp_path)}, clusters=())
    first.wait_for_file(tmp_path / "held")
    twin = again(drive, first, "1").finish()
    assert (twin["type"], twin["reason"]) == ("CRASHED", "DriverError")
    assert "Another driver" in twin["message"]
    assert prefect_server.flow_run(twin["flowRunId"])["state_type"] == "RUNNING"
    (tmp_path / "gate").touch()
    assert first.finish()["type"] == "COMPLETED"
    assert (tmp_path / "held").stat().st_size == 1


def test_each_attempt_has_all_the_retries_of_its_flow(drive, prefect_server, tmp_path):
    first = drive("attempts.py:fails_twice", {"folder": str(tmp_path)}, clusters=())
    first.wait_for_file(tmp_path / "held")
    kill(first)
    # The second run of all fails, the third is the one retry of the second attempt.
    result = again(drive, first, "2").finish()
    assert result["type"] == "COMPLETED", result
    assert prefect_server.flow_run(result["flowRunId"])["run_count"] == 3


def test_no_worker_in_time_leaves_a_flow_run_that_the_next_attempt_may_run(drive, prefect_server):
    first = drive("flows.py:on_own_runner", workers=0)
    first.stop()
    contract = first.env["FLOWRUN_CLUSTERS"].replace('"startupTimeoutSeconds": 120', '"startupTimeoutSeconds": 1')
    lost = again(drive, first, "2", FLOWRUN_CLUSTERS=contract)
    result = lost.finish()
    assert (result["type"], result["reason"]) == ("CRASHED", "ClusterStartupFailed")
    assert prefect_server.flow_run(result["flowRunId"])["state_type"] == "CRASHED"


@pytest.mark.parametrize("state", ["CANCELLED", "CANCELLING"])
def test_F24_a_driver_that_finds_its_run_cancelled_between_two_attempts_runs_nothing_and_ends_it_as_cancelled(
    drive, prefect_server, tmp_path, state
):
    first = drive("attempts.py:two_steps_and_more", {"folder": str(tmp_path)})
    first.wait_for_file(tmp_path / "held")
    kill(first)
    [run] = prefect_server.flow_runs_tagged(first.tag)
    waiting = {"type": "SCHEDULED", "name": "AwaitingRetry"}
    for body in ({"state": waiting, "force": True}, {"state": {"type": state}, "force": True}):
        prefect_server.post(f"flow_runs/{run['id']}/set_state", body)
    (tmp_path / "gate").touch()

    second = again(drive, first, "2")
    result = second.finish()
    assert (result["type"], result["flowRunId"]) == ("CANCELLED", run["id"]), second.output
    assert prefect_server.flow_run(run["id"])["state_type"] == "CANCELLED"
    assert not (tmp_path / "three").exists()
