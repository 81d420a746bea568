"""The driver as the operator runs it: real processes for driver, scheduler and workers, and a real Prefect server."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import httpx
import pytest
from prefect_server import eventually

FLOWS = Path(__file__).parents[1] / "flows"
NAMES = {"names": ["arthur", "trillian", "ford", "marvin"]}


@pytest.mark.parametrize("function", ["greetings", "default_greetings"])
def test_the_unmodified_greetings_flow_runs_all_eight_tasks_though_it_waits_for_none(drive, prefect_server, function):
    driven = drive(f"greetings.py:{function}", NAMES, workers=2, fresh=True)
    result = driven.finish()
    assert (result["type"], result["reason"]) == ("COMPLETED", "FlowCompleted")
    assert prefect_server.task_states(result["flowRunId"], expected=8) == ["COMPLETED"] * 8
    # Printed on workers that end with the driver: nothing of it may be lost.
    logs = prefect_server.logs(result["flowRunId"])
    assert sorted(line for line in logs if line.startswith(("hello", "goodbye"))) == sorted(
        f"{word} {name}" for word in ("hello", "goodbye") for name in NAMES["names"]
    )
    for worker in driven.workers:
        worker.wait(60)  # they leave by themselves when their scheduler does


def test_the_flow_run_in_prefect_leads_back_to_the_flowrun_object(drive, prefect_server):
    driven = drive("flows.py:typed", {"count": 1}, clusters=(), FLOWRUN_ATTEMPT="2")
    result = driven.finish()
    run = prefect_server.flow_run(result["flowRunId"])
    name, uid = driven.env["FLOWRUN_NAME"], driven.env["FLOWRUN_UID"]
    assert run["name"] == name
    assert set(run["tags"]) == {"flowrun", f"flowrun:team/{name}"}
    assert run["idempotency_key"] == f"flowrun-{uid}"
    assert run["parameters"] == {"count": 1}
    assert {key: run["labels"][key] for key in run["labels"] if key.startswith("flowrun.dev/")} == {
        "flowrun.dev/name": name,
        "flowrun.dev/namespace": "team",
        "flowrun.dev/uid": uid,
        "flowrun.dev/attempt": "2",
    }


def test_a_finished_attempt_is_reported_and_not_run_again(drive, prefect_server):
    first = drive("flows.py:typed", {"count": 1}, clusters=())
    result = first.finish()
    again = drive("flows.py:typed", {"count": 1}, clusters=(), FLOWRUN_UID=first.env["FLOWRUN_UID"])
    assert again.finish() == result
    assert "not run again" in again.output
    assert prefect_server.flow_run(result["flowRunId"])["run_count"] == 1


def test_submits_run_on_workers_and_plain_calls_in_the_driver_for_subflows_too(drive):
    driven = drive("flows.py:placement")
    assert driven.finish()["type"] == "COMPLETED", driven.output


def test_async_flows_and_tasks_run_on_the_cluster(drive):
    driven = drive("flows.py:async_flow")
    assert driven.finish()["type"] == "COMPLETED", driven.output


def test_futures_map_wait_helper_modules_and_exceptions_work_as_in_prefect(drive, prefect_server):
    driven = drive("flows.py:everything")
    result = driven.finish()
    assert result["type"] == "COMPLETED", driven.output
    assert "caught no use for 7" in prefect_server.logs(result["flowRunId"])
    # Task runs are linked to those whose futures they were given; the server records them from events, a little later.
    linked = eventually(lambda: _upstream_ids(prefect_server, result["flowRunId"]), lambda ids: len(ids) >= 4)
    assert len(linked) >= 4


def test_a_failing_flow_is_reported_with_its_error(drive, prefect_server):
    driven = drive("flows.py:failing", clusters=())
    result = driven.finish()
    assert (result["type"], result["reason"]) == ("FAILED", "FlowFailed")
    assert "HelperError: no use for 1" in result["message"]
    assert prefect_server.flow_run(result["flowRunId"])["state_type"] == "FAILED"


def test_a_failing_flow_cancels_the_tasks_it_left_behind(drive, tmp_path):
    driven = drive("flows.py:drops_its_tasks_when_it_fails", {"folder": str(tmp_path)})
    result = driven.finish()
    assert "the flow gives up" in result["message"]
    assert "Cancelling" in driven.output
    assert len([path for path in tmp_path.iterdir() if path.name.isdigit()]) < 10


def test_a_flow_that_exits_is_crashed_with_a_result(drive):
    result = drive("flows.py:exits", clusters=()).finish()
    assert (result["type"], result["reason"]) == ("CRASHED", "FlowFailed")


def test_a_generator_flow_runs_to_its_end(drive):
    driven = drive("flows.py:generating", clusters=())
    assert driven.finish()["type"] == "COMPLETED", driven.output


@pytest.mark.parametrize(
    ("entrypoint", "hints"),
    [
        ("missing.py:flow", ["no file 'missing.py'"]),
        ("flows.py:no_such_flow", ["no_such_flow"]),
        ("flows.py:double", ["not a flow"]),
        ("syntax_error.py:broken", ["SyntaxError", "syntax_error.py", "line 4"]),
        ("import_error.py:broken", ["No module named 'no_such_package_anywhere'", "import_error.py:1"]),
    ],
)
def test_a_flow_that_cannot_be_loaded_is_reported_in_its_authors_terms(
    drive, prefect_server, tmp_path, entrypoint, hints
):
    code = tmp_path / "code"
    shutil.copytree(FLOWS, code)
    (code / "syntax_error.py").write_text("from prefect import flow\n\n@flow\ndef broken(:\n    pass\n")
    driven = drive(entrypoint, clusters=(), cwd=code)
    result = driven.finish()
    assert (result["type"], result["reason"]) == ("FAILED", "FlowLoadFailed")
    assert all(hint in result["message"] for hint in hints), result["message"]
    [run] = prefect_server.flow_runs_tagged(driven.tag)
    assert run["id"] == result["flowRunId"]
    assert run["state_type"] == "FAILED"
    assert all(hint in run["state"]["message"] for hint in hints)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [({"count": "many"}, "count"), ({}, "count"), ({"count": 1, "colour": "red"}, "colour")],
    ids=["wrong type", "missing", "unknown"],
)
def test_a_wrong_parameter_is_named_in_the_result_and_in_prefect(drive, prefect_server, parameters, named):
    result = drive("flows.py:typed", parameters, clusters=()).finish()
    assert (result["type"], result["reason"]) == ("FAILED", "InvalidParameters")
    assert named in result["message"]
    run = prefect_server.flow_run(result["flowRunId"])
    assert run["state_type"] == "FAILED"
    assert named in run["state"]["message"]


def test_an_unreachable_api_ends_the_run_with_its_address(drive):
    url = "http://127.0.0.1:9/api"
    driven = drive("flows.py:typed", {"count": 1}, clusters=(), PREFECT_API_URL=url, FLOWRUN_API_TIMEOUT_SECONDS="1")
    result = driven.finish()
    assert (result["type"], result["reason"]) == ("CRASHED", "PrefectUnreachable")
    assert url in result["message"]
    assert result["flowRunId"] is None


def test_no_api_url_is_refused_instead_of_starting_a_private_server(drive):
    result = drive("flows.py:typed", {"count": 1}, clusters=(), PREFECT_API_URL="").finish()
    assert result["reason"] == "PrefectUnreachable"
    assert "PREFECT_API_URL" in result["message"]


def test_a_broken_contract_is_reported_with_the_variable(drive):
    result = drive("flows.py:typed", clusters=(), FLOWRUN_CLUSTERS="{").finish()
    assert result["reason"] == "DriverError"
    assert "FLOWRUN_CLUSTERS" in result["message"]


@pytest.mark.parametrize("function", ["long_task", "long_async"])
def test_sigterm_while_a_task_runs_on_a_worker_ends_the_run_crashed_and_the_workers(
    drive, prefect_server, tmp_path, function
):
    driven = drive(f"flows.py:{function}", {"started": str(tmp_path / "started")})
    driven.wait_for_file(tmp_path / "started")
    driven.process.send_signal(signal.SIGTERM)
    result = driven.finish(timeout=60)  # the task takes two minutes
    assert (result["type"], result["reason"]) == ("CRASHED", "Terminated")
    assert prefect_server.flow_run(result["flowRunId"])["state_type"] == "CRASHED"
    driven.workers[0].wait(60)


def test_sigterm_ends_a_run_whose_task_thread_cannot_be_interrupted(drive, prefect_server, tmp_path):
    driven = drive("flows.py:long_thread", {"started": str(tmp_path / "started")}, clusters=())
    driven.wait_for_file(tmp_path / "started")
    driven.process.send_signal(signal.SIGTERM)
    result = driven.finish(timeout=60)
    assert (result["type"], result["reason"]) == ("CRASHED", "Terminated")
    assert prefect_server.flow_run(result["flowRunId"])["state_type"] == "CRASHED"


def test_sigterm_after_a_cancellation_in_prefect_ends_the_run_cancelled(drive, prefect_server, tmp_path):
    driven = drive("flows.py:long_task", {"started": str(tmp_path / "started")})
    driven.wait_for_file(tmp_path / "started")
    [run] = prefect_server.flow_runs_tagged(driven.tag)
    prefect_server.post(f"flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLING"}})
    driven.process.send_signal(signal.SIGTERM)
    result = driven.finish(timeout=60)
    assert (result["type"], result["reason"]) == ("CANCELLED", "FlowCancelled")
    assert prefect_server.flow_run(run["id"])["state_type"] == "CANCELLED"


def test_sigterm_before_the_flow_is_loaded_still_leaves_a_result(drive):
    driven = drive("flows.py:typed", {"count": 1}, fresh=True)
    driven.wait_for_output("[scheduler default]")
    driven.process.send_signal(signal.SIGTERM)
    assert driven.finish(timeout=60)["reason"] in ("Terminated", "FlowCompleted")


def test_a_killed_scheduler_ends_the_run_as_coordinator_lost(drive, prefect_server, tmp_path):
    driven = drive("flows.py:long_task", {"started": str(tmp_path / "started")})
    driven.wait_for_file(tmp_path / "started")
    os.kill(_scheduler_pid(driven.process.pid), signal.SIGKILL)
    result = driven.finish(timeout=60)
    assert (result["type"], result["reason"]) == ("CRASHED", "CoordinatorLost")
    assert "cluster 'default' ended unasked (signal 9)" in result["message"]
    run = prefect_server.flow_run(result["flowRunId"])
    assert run["state_type"] == "CRASHED"
    assert "scheduler of cluster 'default'" in run["state"]["message"]


def test_a_run_without_clusters_runs_its_tasks_in_threads_of_the_driver(drive):
    driven = drive("flows.py:on_own_runner", clusters=())
    assert driven.finish()["type"] == "COMPLETED", driven.output
    assert "tasks run in threads of the driver" in driven.output


def test_subflows_can_use_different_clusters_of_the_run(drive):
    driven = drive("flows.py:two_clusters", clusters=("default", "gpu"))
    assert driven.finish()["type"] == "COMPLETED", driven.output


def test_a_cluster_that_the_run_does_not_have_is_an_error_that_names_those_it_has(drive):
    result = drive("flows.py:wants_gpu").finish()
    assert result["type"] == "FAILED"
    assert "no cluster named 'gpu'" in result["message"]
    assert "'default'" in result["message"]


def test_no_worker_in_time_ends_the_run_as_cluster_startup_failed(drive):
    driven = drive("flows.py:on_own_runner", clusters=("default",), workers=0)
    driven.stop()
    contract = driven.env["FLOWRUN_CLUSTERS"].replace('"startupTimeoutSeconds": 120', '"startupTimeoutSeconds": 20')
    result = drive("flows.py:on_own_runner", workers=0, FLOWRUN_CLUSTERS=contract).finish()
    assert result["reason"] == "ClusterStartupFailed"
    assert "No Dask worker" in result["message"]


def test_a_worker_is_ready_only_once_it_is_registered_with_its_scheduler(drive, tmp_path):
    driven = drive("flows.py:long_task", {"started": str(tmp_path / "started")}, fresh=True)
    port = next(arg for arg in driven.workers[0].args if "127.0.0.1:" in arg).rpartition(":")[2]
    answers: list[int] = []
    deadline = time.monotonic() + 200
    while (not answers or answers[-1] != 200) and time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            answers.append(httpx.get(f"http://127.0.0.1:{port}/ready", timeout=2).status_code)
        time.sleep(0.02)
    assert answers[-1] == 200
    assert set(answers) <= {503, 200}
    assert answers[0] == 503


def _scheduler_pid(driver_pid: int) -> int:
    children = Path(f"/proc/{driver_pid}/task/{driver_pid}/children").read_text().split()
    [pid] = [int(child) for child in children if b"dask_scheduler" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return pid


def _upstream_ids(server, flow_run_id):
    inputs = [run["task_inputs"] for run in server.task_runs(flow_run_id)]
    return {entry["id"] for each in inputs for entries in each.values() for entry in entries if "id" in entry}
