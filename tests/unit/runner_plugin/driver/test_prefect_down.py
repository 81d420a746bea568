"""Prefect is away when a run ends: the driver ends all the same, with a result; the operator repairs later."""

from __future__ import annotations

import contextlib
import signal
import threading
import uuid

import httpx
import pytest
from prefect_server import running_server

from prefect_flowrun.driver.final_state_limit import EndLimit

RUN = uuid.uuid4()


@pytest.fixture(scope="module")
def own_server(tmp_path_factory):
    """A server that tests may stop."""
    with running_server(tmp_path_factory.mktemp("own-server")) as server:
        yield server


@contextlib.contextmanager
def frozen(server):
    """Let the server accept connections and not answer."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def begin(drive, server, folder, function="waits_for_the_gate", **environment):
    url = {"PREFECT_API_URL": server.url}
    driven = drive(f"attempts.py:{function}", {"folder": str(folder)}, clusters=(), **url, **environment)
    driven.wait_for_file(folder / "held")
    return driven


@pytest.mark.parametrize("function", ["waits_for_the_gate", "waits_for_the_gate_async"])
def test_F28_the_end_of_a_flow_does_not_wait_for_a_prefect_that_does_not_answer(drive, own_server, tmp_path, function):
    driven = begin(drive, own_server, tmp_path, function, FLOWRUN_END_TIMEOUT_SECONDS="2")
    with frozen(own_server):
        (tmp_path / "gate").touch()
        result = driven.finish(timeout=60)
    assert (result["type"], result["reason"], result["prefectInformed"]) == ("COMPLETED", "FlowCompleted", False)
    assert "The flow has ended, but Prefect did not record its end within 2 s" in driven.output
    assert result["flowRunId"]


def test_F28_a_flow_that_failed_while_prefect_was_away_has_failed(drive, own_server, tmp_path):
    driven = begin(drive, own_server, tmp_path, "waits_for_the_gate_and_fails", FLOWRUN_END_TIMEOUT_SECONDS="2")
    with frozen(own_server):
        (tmp_path / "gate").touch()
        result = driven.finish(timeout=60)
    assert (result["type"], result["reason"], result["prefectInformed"]) == ("FAILED", "FlowFailed", False)
    assert "this flow fails" in result["message"]


def test_F28_a_flow_with_retries_has_not_failed_before_prefect_says_so(drive, own_server, tmp_path):
    driven = begin(drive, own_server, tmp_path, "waits_for_the_gate_and_fails_again", FLOWRUN_END_TIMEOUT_SECONDS="2")
    with frozen(own_server):
        (tmp_path / "gate").touch()
        result = driven.finish(timeout=60)
    assert (result["type"], result["reason"]) == ("CRASHED", "PrefectUnreachable")


def test_F28_sigterm_while_a_finished_flow_waits_for_prefect_does_not_undo_its_end(drive, own_server, tmp_path):
    driven = begin(drive, own_server, tmp_path)
    with frozen(own_server):
        (tmp_path / "gate").touch()
        driven.wait_for_file(tmp_path / "ended")
        with pytest.raises(AssertionError, match="did not end"):
            driven.finish(timeout=2)
        driven.process.send_signal(signal.SIGTERM)
        result = driven.finish(timeout=60)
    assert (result["type"], result["reason"], result["prefectInformed"]) == ("COMPLETED", "FlowCompleted", False)


def test_F28_sigterm_ends_a_run_in_time_though_prefect_does_not_answer(drive, own_server, tmp_path):
    driven = begin(drive, own_server, tmp_path)
    with frozen(own_server):
        driven.process.send_signal(signal.SIGTERM)
        result = driven.finish(timeout=60)
    assert (result["type"], result["reason"]) == ("CRASHED", "Terminated")


def test_F28_a_prefect_that_comes_back_in_time_records_the_end(drive, own_server, tmp_path):
    driven = begin(drive, own_server, tmp_path)
    with frozen(own_server):
        (tmp_path / "gate").touch()
        with pytest.raises(AssertionError, match="did not end"):
            driven.finish(timeout=3)
    assert driven.finish()["type"] == "COMPLETED"
    [run] = own_server.flow_runs_tagged(driven.tag)
    assert run["state_type"] == "COMPLETED"


def test_F28_the_end_of_a_flow_does_not_wait_for_a_prefect_that_is_gone(drive, own_server, tmp_path):
    driven = begin(drive, own_server, tmp_path, FLOWRUN_END_TIMEOUT_SECONDS="2")
    own_server.process.terminate()
    own_server.process.wait(60)
    (tmp_path / "gate").touch()
    result = driven.finish(timeout=60)
    assert (result["type"], result["reason"], result["prefectInformed"]) == ("COMPLETED", "FlowCompleted", False)


class Clock:
    """An EndLimit of no time at all, and a client whose server answers with the given codes."""

    def __init__(self, *codes, limit=0.01):
        self.over = threading.Event()
        self._codes = list(codes)
        self.limit = EndLimit(RUN, self.over.set, limit)
        transport = httpx.MockTransport(lambda _: httpx.Response(self._codes.pop(0)))
        self.client = httpx.Client(transport=transport, event_hooks=self.limit.hooks, base_url="http://prefect/api")

    def offer(self, state, run=RUN):
        self.client.post(f"/flow_runs/{run}/set_state", json={"state": {"type": state}})


def test_the_clock_runs_from_the_first_final_state_that_is_not_taken():
    clock = Clock(503, 503)
    clock.offer("COMPLETED")
    clock.offer("FAILED")
    assert clock.over.wait(60)


@pytest.mark.parametrize(("state", "run"), [("RUNNING", RUN), ("COMPLETED", uuid.uuid4())])
def test_other_states_and_other_runs_start_no_clock(state, run):
    clock = Clock(503)
    clock.offer(state, run)
    assert not clock.over.wait(0.1)


def test_what_was_offered_first_is_the_flows_end_until_prefect_has_taken_it():
    clock = Clock(503, 201, 201)
    clock.offer("COMPLETED")
    clock.offer("CRASHED")  # what SIGTERM makes of it
    assert clock.limit.offered.type == "COMPLETED"
    clock.offer("COMPLETED")
    assert clock.limit.offered is None


def test_an_answer_stops_the_clock_and_another_end_starts_it_again():
    clock = Clock(201, 503, limit=1)
    clock.offer("FAILED")  # refused: the flow has retries
    assert not clock.over.wait(1.2)
    clock.offer("COMPLETED")
    assert clock.over.wait(60)
