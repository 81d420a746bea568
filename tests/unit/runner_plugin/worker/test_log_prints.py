"""Prints of tasks that run at the same time in one process."""

from __future__ import annotations

import builtins
import contextvars
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from prefect import task
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_flowrun.worker import prefect_logging


@pytest.fixture
def api(prefect_server):
    with temporary_settings({PREFECT_API_URL: prefect_server.url}):
        prefect_logging.set_up()
        yield prefect_server


class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.seen = []

    def emit(self, record):
        self.seen.append((record.task_run_name if hasattr(record, "task_run_name") else "", record.getMessage()))


@pytest.fixture
def lines():
    handler, logger = Lines(), logging.getLogger("prefect.task_runs")
    logger.addHandler(handler)
    yield handler.seen
    logger.removeHandler(handler)


def in_thread(pool, function, *args):
    return pool.submit(contextvars.copy_context().run, function, *args)


def test_a_line_is_logged_though_a_task_beside_has_ended_meanwhile(api, lines):
    began, ended, real = threading.Event(), threading.Event(), builtins.print

    @task(log_prints=True, task_run_name="first")
    def first():
        began.wait(60)
        print("one")  # noqa: T201

    @task(log_prints=True, task_run_name="second")
    def second():
        began.set()
        ended.wait(60)
        print("two")  # noqa: T201

    with ThreadPoolExecutor(2) as pool:
        futures = [in_thread(pool, first), in_thread(pool, second)]
        futures[0].result(60)
        ended.set()
        futures[1].result(60)
    assert [line for line in lines if line[1] in ("one", "two")] == [("first", "one"), ("second", "two")]
    assert builtins.print is real


def test_a_task_beside_that_wants_no_prints_logged_has_none_logged(api, lines, capsys):
    printed = threading.Event()

    @task(log_prints=True)
    def logs():
        assert printed.wait(60)

    @task
    def prints():
        print("to the console")  # noqa: T201

    with ThreadPoolExecutor(2) as pool:
        waiting = in_thread(pool, logs)
        in_thread(pool, prints).result(60)
        printed.set()
        waiting.result(60)
    assert "to the console" not in [line for _, line in lines]
    assert "to the console" in capsys.readouterr().out


def test_what_the_user_has_put_in_place_of_print_stays(api, monkeypatch):
    def mine(*args):
        """The user's."""

    monkeypatch.setattr(builtins, "print", builtins.print)

    @task(log_prints=True)
    def changes():
        builtins.print = mine

    changes()
    assert builtins.print is mine
