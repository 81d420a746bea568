"""Sending what Prefect still holds in a process, while others go on."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from prefect.events import emit_event
from prefect.logging.handlers import APILogHandler, APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_BATCH_INTERVAL, temporary_settings

from prefect_flowrun.worker import drain
from prefect_flowrun.worker.drain import flush_process

MANY = 100


@pytest.fixture
def api(prefect_server):
    with temporary_settings({PREFECT_API_URL: prefect_server.url, PREFECT_LOGGING_TO_API_BATCH_INTERVAL: 120}):
        yield prefect_server
        drain.drain_process(30)


def emit(name, number):
    return emit_event(f"test.{name}", {"prefect.resource.id": f"test.{name}.{number}"})


def log(flow_run_id, message):
    record = logging.LogRecord("test", logging.INFO, "", 0, message, (), None)
    record.flow_run_id = flow_run_id
    APILogHandler().emit(record)


def a_flow_run(server):
    flow = server.post("flows/", {"name": "drained"})
    return server.post("flow_runs/", {"flow_id": flow["id"]})["id"]


def events(server, name):
    return server.post("events/filter", {"filter": {"event": {"name": [f"test.{name}"]}}, "limit": 1})["total"]


def test_no_event_of_another_task_is_lost_while_a_flow_that_ends_has_the_queues_sent(api):
    name, ended = uuid4().hex, threading.Event()

    def others(start):
        return [emit(name, start + number) for number in range(MANY)]

    def ends_of_subflows():
        while not ended.is_set():
            flush_process(30)
            time.sleep(0.001)

    def in_context(pool, function, *args):
        return pool.submit(contextvars.copy_context().run, function, *args)

    with ThreadPoolExecutor(5) as pool:
        flushing = in_context(pool, ends_of_subflows)
        emitting = [in_context(pool, others, start) for start in (0, 1000, 2000, 3000)]
        emitted = [event for future in emitting for event in future.result()]
        ended.set()
        flushing.result(60)
    assert emitted.count(None) == 0


def test_what_was_queued_has_been_sent_and_the_queues_go_on(api):
    name, run = uuid4().hex, a_flow_run(api)
    emit(name, 0)
    log(run, "before")
    queue = APILogWorker.instance()
    flush_process(60)
    assert api.logs(run) == ["before"], "at once, though a batch waits for two minutes"
    assert APILogWorker.instance() is queue
    log(run, "after")
    flush_process(60)
    assert api.logs(run) == ["before", "after"]
    deadline = time.monotonic() + 60
    while events(api, name) < 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_queue_that_cannot_be_sent_holds_nobody_up_longer_than_it_may(api, monkeypatch):
    run, stuck = a_flow_run(api), threading.Event()

    async def never(self, items):
        import asyncio

        while not stuck.is_set():
            await asyncio.sleep(0.01)

    monkeypatch.setattr(APILogWorker, "_handle_batch", never)
    monkeypatch.setattr(APILogWorker, "flowrun_markers", False, raising=False)
    log(run, "stuck")
    began = time.monotonic()
    flush_process(0.2)
    assert time.monotonic() - began < 60
    stuck.set()


def test_a_prefect_without_these_insides_is_drained_by_its_own_means(api, monkeypatch):
    run = a_flow_run(api)
    log(run, "by its own means")
    monkeypatch.setattr(drain, "_mark", lambda queue: queue.not_there)
    flush_process(60)
    assert api.logs(run) == ["by its own means"]
