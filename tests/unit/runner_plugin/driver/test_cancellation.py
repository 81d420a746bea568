"""A run that a user cancels in Prefect ends Cancelled there, with its task runs, and says so."""

from __future__ import annotations

import contextlib
import signal
import threading
import time

import pytest
from prefect_server import eventually

from prefect_flowrun.driver.cancellation_poll import CancelWatch

SOON = {"FLOWRUN_CANCEL_POLL_SECONDS": "0.3"}


def cancel(server, driven):
    """Do what the button in Prefect's UI does."""
    [run] = [run for run in server.flow_runs_tagged(driven.tag) if run["parent_task_run_id"] is None]
    answer = server.post(f"flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLING"}})
    assert answer["status"] == "ACCEPT"
    return run["id"]


def assert_cancelled(server, result, run_id):
    assert (result["type"], result["reason"], result["flowRunId"]) == ("CANCELLED", "FlowCancelled", run_id)
    assert server.flow_run(run_id)["state_type"] == "CANCELLED"


@pytest.mark.parametrize("function", ["held", "held_async", "held_in_the_driver"])
def test_F24_a_cancellation_in_prefect_ends_run_and_tasks_cancelled(drive, prefect_server, tmp_path, function):
    driven = drive(f"attempts.py:{function}", {"folder": str(tmp_path)}, **SOON)
    driven.wait_for_file(tmp_path / "held")
    _until_recorded(prefect_server, driven.tag)
    run_id = cancel(prefect_server, driven)
    assert_cancelled(prefect_server, driven.finish(timeout=60), run_id)
    assert prefect_server.task_states(run_id, expected=1) == ["CANCELLED"]
    driven.workers[0].wait(60)
    if function != "held_async":
        assert (tmp_path / "hook-CANCELLING").exists()
        assert not (tmp_path / "hook-CRASHED").exists()


def test_F24_a_subflow_and_its_tasks_are_cancelled_too(drive, prefect_server, tmp_path):
    driven = drive("attempts.py:held_at_two_levels", {"folder": str(tmp_path)}, workers=2, **SOON)
    driven.wait_for_file(tmp_path / "held-below")
    driven.wait_for_file(tmp_path / "held")
    _until_recorded(prefect_server, driven.tag, expected=2)
    run_id = cancel(prefect_server, driven)
    assert_cancelled(prefect_server, driven.finish(timeout=60), run_id)
    [subflow] = prefect_server.post("flow_runs/filter", {"flow_runs": {"parent_flow_run_id": {"any_": [run_id]}}})
    assert subflow["state_type"] == "CANCELLED"
    assert set(prefect_server.task_states(run_id, expected=2)) == {"CANCELLED"}
    assert prefect_server.task_states(subflow["id"], expected=1) == ["CANCELLED"]


@pytest.mark.parametrize("function", ["sleeps", "in_c_code", "held"])
def test_F24_a_flow_that_does_not_listen_is_cancelled_all_the_same(drive, prefect_server, tmp_path, function):
    driven = drive(f"attempts.py:{function}", {"folder": str(tmp_path)}, clusters=(), **SOON)
    driven.wait_for_file(tmp_path / "held")
    run_id = cancel(prefect_server, driven)
    assert_cancelled(prefect_server, driven.finish(timeout=60), run_id)


@pytest.mark.parametrize(
    ("function", "clusters", "hook_runs"),
    [
        ("held", ("default",), True),
        ("held_on_own_runner", (), True),
        ("held", (), False),  # Prefect's own thread runner lets nothing run before its tasks have ended
    ],
)
def test_F24_sigterm_while_prefect_says_cancelling_ends_run_and_tasks_cancelled(
    drive, prefect_server, tmp_path, function, clusters, hook_runs
):
    never = {"FLOWRUN_CANCEL_POLL_SECONDS": "1000"}
    driven = drive(f"attempts.py:{function}", {"folder": str(tmp_path)}, clusters=clusters, **never)
    driven.wait_for_file(tmp_path / "held")
    _until_recorded(prefect_server, driven.tag)
    run_id = cancel(prefect_server, driven)
    driven.process.send_signal(signal.SIGTERM)
    assert_cancelled(prefect_server, driven.finish(timeout=60), run_id)
    assert prefect_server.task_states(run_id, expected=1) == ["CANCELLED"]
    assert (tmp_path / "hook-CANCELLING").exists() == hook_runs


def test_F24_a_run_that_was_cancelled_between_two_attempts_is_not_run(drive, prefect_server, tmp_path):
    driven = drive("attempts.py:waits_for_the_gate", {"folder": str(tmp_path)}, clusters=(), **SOON)
    driven.wait_for_file(tmp_path / "held")
    driven.process.kill()
    run_id = cancel(prefect_server, driven)
    same = {name: driven.env[name] for name in ("FLOWRUN_UID", "FLOWRUN_NAME", "FLOWRUN_PARAMETERS")}
    second = drive(driven.env["FLOWRUN_ENTRYPOINT"], clusters=(), **same, FLOWRUN_ATTEMPT="2")
    assert_cancelled(prefect_server, second.finish(), run_id)
    assert (tmp_path / "held").stat().st_size == 1


def watch(answers, interval=0.01):
    """Let a watch ask until there are no more answers; return how often it told of a cancellation."""
    told, asked_all = [], threading.Event()
    left = list(answers)

    def ask():
        if not left:
            asked_all.set()
            return False
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    watching = CancelWatch(lambda: contextlib.nullcontext(ask), lambda: (told.append(1), asked_all.set()), interval)
    watching.start()
    assert asked_all.wait(60)
    watching.stop()
    return len(told)


def test_a_cancellation_is_told_once():
    assert watch([False, False, True, True]) == 1


def test_F28_a_prefect_that_does_not_answer_cancels_nothing():
    assert watch([OSError("refused"), TimeoutError(), ValueError("a proxy's page"), False]) == 0
    assert watch([OSError("refused"), True]) == 1


def test_nothing_is_told_after_the_end_of_the_flow():
    told, asked, go_on = [], threading.Event(), threading.Event()

    def ask():
        asked.set()
        go_on.wait(60)
        return True

    watching = CancelWatch(lambda: contextlib.nullcontext(ask), lambda: told.append(1), 0.01)
    watching.start()
    assert asked.wait(60)
    watching.stop()
    go_on.set()
    time.sleep(0.1)
    assert not told


def _until_recorded(server, tag, expected=1):
    """Wait until Prefect has a record of the tasks that run: it is made from events, a little later."""

    def running():
        runs = [task for run in server.flow_runs_tagged(tag) for task in server.task_runs(run["id"])]
        return sum(task["state_type"] == "RUNNING" for task in runs)

    assert eventually(running, lambda found: found == expected) == expected
