"""Waits that a run should not have: at its first submit, and at its end."""

from __future__ import annotations

import contextlib
import sys
import threading
import types

from prefect import flow_engine

from flowrun_api.contract import ClusterContract
from prefect_flowrun.driver import run_flow
from prefect_flowrun.runner import connections


def cluster(engine):
    return ClusterContract(name="default", engine=engine, address="tcp://127.0.0.1:1", port=1, http_port=2)


def test_the_end_of_a_sync_flow_does_not_wait_for_the_heartbeat_thread(monkeypatch):
    monkeypatch.setattr(flow_engine, "_send_heartbeats", flow_engine._send_heartbeats)
    run_flow._leave_heartbeats_behind()
    run_flow._leave_heartbeats_behind()
    engine = types.SimpleNamespace(
        heartbeat_seconds=30,
        flow_run=None,
        logger=types.SimpleNamespace(debug=lambda *_, **__: None),
        _build_heartbeat_event_template=lambda: ({}, []),
        _emit_flow_run_heartbeat=lambda *_: None,
    )
    joined = []
    monkeypatch.setattr(threading.Thread, "join", lambda *_, **__: joined.append(1))
    with flow_engine._send_heartbeats(engine):
        pass
    assert not joined


def test_a_prefect_without_that_function_is_left_as_it_is(monkeypatch):
    @contextlib.contextmanager
    def other(engine):
        yield

    monkeypatch.setattr(flow_engine, "_send_heartbeats", other)
    run_flow._leave_heartbeats_behind()
    assert flow_engine._send_heartbeats is other
    monkeypatch.delattr(flow_engine, "_send_heartbeats")
    run_flow._leave_heartbeats_behind()


def test_the_engine_is_imported_before_the_first_submit(monkeypatch):
    imported = threading.Event()
    monkeypatch.setattr(connections.importlib, "import_module", lambda name: imported.set())
    connections.import_engines([cluster("Dask")])
    assert imported.wait(60)


def test_an_engine_that_cannot_be_imported_is_left_to_the_first_submit(monkeypatch, capfd):
    monkeypatch.setitem(connections._NEEDED_BY_FIRST_SUBMIT, "Dask", ("no.such.module",))
    connections.import_engines([cluster("Dask"), cluster("Ray")])
    for thread in threading.enumerate():
        if thread.name == "flowrun-import":
            thread.join(60)
    assert "no.such.module" not in sys.modules
    assert capfd.readouterr().err == ""
