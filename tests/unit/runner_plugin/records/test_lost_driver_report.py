"""The reporter: Prefect is told the end of a run whose driver could not, as soon as it listens."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading

import pytest
from forked import kill

from prefect_flowrun.records import close_runs
from prefect_flowrun.records.lost_driver_report import Order, OrderError

ENV = {
    "PREFECT_API_URL": "http://prefect/api/",
    "FLOWRUN_IDEMPOTENCY_KEY": "flowrun-u-1",
    "FLOWRUN_REPORT_TYPE": "CRASHED",
    "FLOWRUN_REPORT_MESSAGE": "the node was lost",
}
OPEN = ["PENDING", "RUNNING", "SCHEDULED", "PAUSED"]
REPORTED = ["COMPLETED", "CRASHED", "CANCELLED", "FAILED", "AWAITING_RETRY"]


@pytest.mark.parametrize(
    ("current", "reported", "settled"),
    [
        *[(state, report, report) for state in OPEN for report in REPORTED],
        *[("CANCELLING", report, "CANCELLED") for report in REPORTED],
        *[(state, report, None) for state in ("COMPLETED", "FAILED", "CANCELLED") for report in REPORTED],
        ("CRASHED", "CRASHED", None),
        ("CRASHED", "CANCELLED", "CANCELLED"),
        ("CRASHED", "FAILED", "FAILED"),
        ("CRASHED", "COMPLETED", "COMPLETED"),
        ("CRASHED", "AWAITING_RETRY", "AWAITING_RETRY"),
    ],
)
def test_the_state_that_a_flow_run_gets(current, reported, settled):
    assert close_runs.settle(current, reported) == settled


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"PREFECT_API_URL": ""}, "PREFECT_API_URL"),
        ({"FLOWRUN_IDEMPOTENCY_KEY": ""}, "FLOWRUN_IDEMPOTENCY_KEY"),
        ({"FLOWRUN_REPORT_TYPE": "PAUSED"}, "FLOWRUN_REPORT_TYPE"),
        ({"FLOWRUN_ATTEMPT": "first"}, "FLOWRUN_ATTEMPT"),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_refused_with_the_variable(change, named):
    with pytest.raises(OrderError, match=named):
        Order.from_env({**ENV, **change})


def test_the_attempt_may_be_left_out():
    assert Order.from_env(ENV).attempt is None
    assert Order.from_env({**ENV, "FLOWRUN_ATTEMPT": "2"}).attempt == 2


class Api:
    """Answers like Prefect, from memory: one flow run with a subflow and more task runs than fit a page."""

    def __init__(self, state="RUNNING", attempt=1, task_runs=450):
        self.runs = {"f": {"id": "f", "state_type": state, "labels": {"flowrun.dev/attempt": str(attempt)}}}
        self.runs["sub"] = {"id": "sub", "state_type": "RUNNING", "labels": {}}
        self.task_runs = {f"t{number}": {"id": f"t{number}", "flow": "f"} for number in range(task_runs)}
        self.task_runs["below"] = {"id": "below", "flow": "sub"}
        self.set = {}
        self.forced = []
        self.records = True

    def post(self, path, body):
        if path == "/events":
            for event in body if self.records else ():
                self.set[event["resource"]["prefect.resource.id"].removeprefix("prefect.task-run.")] = event["payload"][
                    "validated_state"
                ]["name"]
            return None
        if path.endswith("/set_state"):
            _, kind, run, _ = path.split("/")
            assert body["force"]
            self.forced += [run] if kind == "task_runs" else []
            self.set[run] = body["state"]["name"]
            return {"status": "ACCEPT"}
        if path == "/task_runs/filter":
            wanted = body["flow_runs"]["id"]["any_"]
            found = [run for run in self.task_runs.values() if run["flow"] in wanted and run["id"] not in self.set]
            return found[body["offset"] :][: body["limit"]]
        if "parent_flow_run_id" in body["flow_runs"]:
            return (
                [self.runs["sub"]]
                if body["offset"] == 0 and body["flow_runs"]["parent_flow_run_id"]["any_"] == ["f"]
                else []
            )
        return [self.runs["f"]] if body["flow_runs"]["idempotency_key"]["any_"] == ["flowrun-u-1"] else []


def test_the_flow_run_its_subflows_and_all_task_runs_get_their_end():
    api = Api()
    assert close_runs.report(api.post, "flowrun-u-1", 1, "CRASHED", "lost")
    assert len(api.set) == 453
    assert set(api.set.values()) == {"Crashed"}
    assert api.forced == []


def test_what_a_lost_attempt_leaves_crashes_while_the_flow_run_awaits_its_retry():
    api = Api(task_runs=1)
    assert close_runs.report(api.post, "flowrun-u-1", 1, "AWAITING_RETRY", "lost")
    assert api.set == {"f": "AwaitingRetry", "t0": "Crashed", "sub": "Crashed", "below": "Crashed"}


def test_a_run_that_a_user_has_cancelled_ends_cancelled_whatever_is_reported():
    api = Api("CANCELLING", task_runs=1)
    assert close_runs.report(api.post, "flowrun-u-1", 1, "AWAITING_RETRY", "lost")
    assert set(api.set.values()) == {"Cancelled"}


def test_a_report_that_comes_after_the_next_attempt_has_begun_changes_nothing():
    api = Api(attempt=2)
    assert not close_runs.report(api.post, "flowrun-u-1", 1, "AWAITING_RETRY", "lost")
    assert api.set == {}


def test_a_flow_that_ended_well_while_prefect_was_away_leaves_no_task_run_that_says_so():
    api = Api(task_runs=1)
    assert close_runs.report(api.post, "flowrun-u-1", 1, "COMPLETED", "")
    assert api.set == {"f": "Completed", "t0": "Crashed", "sub": "Crashed", "below": "Crashed"}


def test_what_a_server_does_not_record_in_time_is_set_by_force(monkeypatch):
    monkeypatch.setattr(close_runs, "PAUSES_S", (0.0, 0.0))
    api = Api(task_runs=2)
    api.records = False
    assert close_runs.report(api.post, "flowrun-u-1", 1, "CRASHED", "lost")
    assert sorted(api.forced) == ["below", "t0", "t1"]
    assert set(api.set.values()) == {"Crashed"}


def test_task_runs_that_keep_their_state_do_not_hold_up_the_report(monkeypatch):
    monkeypatch.setattr(close_runs, "PAUSES_S", (0.0, 0.0))
    api = Api(task_runs=3)
    api.records = False
    post = api.post

    def deaf(path, body):
        answer = post(path, body)
        if path.startswith("/task_runs/") and path.endswith("/set_state"):
            del api.set[path.split("/")[2]]
        return answer

    assert close_runs.report(deaf, "flowrun-u-1", None, "CRASHED", "lost")


def reporter(env):
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("FLOWRUN_", "PREFECT_"))}
    command = [sys.executable, "-m", "prefect_flowrun.report_end"]
    return subprocess.Popen(command, env={**clean, **env}, stderr=subprocess.PIPE, text=True)


def run_reporter(env):
    process = reporter(env)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


def test_F20_what_a_killed_driver_leaves_running_is_repaired(drive, prefect_server, tmp_path):
    driven = drive("attempts.py:held_at_two_levels", {"folder": str(tmp_path)}, workers=2)
    driven.wait_for_file(tmp_path / "held")
    driven.wait_for_file(tmp_path / "held-below")
    [run] = [run for run in prefect_server.flow_runs_tagged(driven.tag) if run["parent_task_run_id"] is None]
    below = {"flow_runs": {"parent_flow_run_id": {"any_": [run["id"]]}}}
    [subflow] = prefect_server.post("flow_runs/filter", below)
    _until(lambda: len(prefect_server.task_runs(run["id"])) == 2 and prefect_server.task_runs(subflow["id"]))
    kill(driven)
    env = {
        **ENV,
        "PREFECT_API_URL": prefect_server.url,
        "FLOWRUN_IDEMPOTENCY_KEY": f"flowrun-{driven.env['FLOWRUN_UID']}",
    }
    code, said = run_reporter({**env, "FLOWRUN_REPORT_TYPE": "AWAITING_RETRY", "FLOWRUN_ATTEMPT": "1"})
    assert (code, "has been told" in said) == (0, True), said
    waiting = prefect_server.flow_run(run["id"])
    assert (waiting["state_type"], waiting["state_name"]) == ("SCHEDULED", "AwaitingRetry")
    assert prefect_server.task_states(run["id"], expected=2) == ["CRASHED", "CRASHED"]
    assert prefect_server.task_states(subflow["id"], expected=1) == ["CRASHED"]
    assert prefect_server.flow_run(subflow["id"])["state_type"] == "CRASHED"

    assert run_reporter({**env, "FLOWRUN_REPORT_TYPE": "CANCELLED"})[0] == 0
    assert prefect_server.flow_run(run["id"])["state_type"] == "CANCELLED"
    assert run_reporter({**env, "FLOWRUN_REPORT_TYPE": "CRASHED"})[0] == 0
    assert prefect_server.flow_run(run["id"])["state_type"] == "CANCELLED"


def test_a_run_that_prefect_does_not_know_is_no_error(prefect_server):
    code, said = run_reporter({**ENV, "PREFECT_API_URL": prefect_server.url, "FLOWRUN_IDEMPOTENCY_KEY": "flowrun-none"})
    assert (code, "no such run" in said) == (0, True), said


def test_F28_the_reporter_asks_again_until_prefect_listens_and_shows_its_key():
    answers = [(503, b"down"), (200, b"<html>a proxy"), (401, b"{}"), (200, b"[]")]
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["Authorization"], body["limit"]))
            code, text = answers[len(asked) - 1]
            self.send_response(code)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/api/"
        code, said = run_reporter({**ENV, "PREFECT_API_URL": url, "PREFECT_API_KEY": "secret"})
        server.shutdown()
    assert code == 0
    assert asked == [("/api/flow_runs/filter", "Bearer secret", 1)] * 4
    assert said.count("next try") == 3
    assert "secret" not in said


def test_an_order_that_makes_no_sense_ends_the_reporter():
    code, said = run_reporter({**ENV, "FLOWRUN_REPORT_TYPE": "SUPERB"})
    assert (code, "FLOWRUN_REPORT_TYPE" in said) == (2, True)


def _until(condition):
    from prefect_server import eventually

    assert eventually(condition, bool)
