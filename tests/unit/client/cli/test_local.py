"""Which lines of a run on this machine are shown."""

from __future__ import annotations

import importlib.util

import pytest

from flowrun.cli import local
from flowrun.cli.files.manifests import Manifests
from flowrun.problem import Problem

DRIVER = [
    ("12:00:00.000 | INFO    | Flow run 'a' - Beginning flow run 'a' for flow 'etl'", True),
    ("plain print", True),
    ("[scheduler default] 2026-01-01 - distributed.scheduler - INFO - State start", False),
    ("[flowrun] timeline in s: python up 0.4", False),
    ("[flowrun] FlowCompleted: Completed. ", False),
    ("[flowrun] The result could not be written to /x: no", True),
    ("12:00:00.000 | INFO    | Flow run 'a' - View at http://127.0.0.1:1234/runs/flow-run/1", False),
]


@pytest.mark.parametrize(("line", "shown"), DRIVER)
def test_lines_of_the_driver_that_are_the_flows_are_shown(line: str, shown: bool) -> None:
    told: list[str] = []
    of_driver, _, _ = local._lines_of_the_flow(told.append, own_server=True)
    of_driver(line)
    assert (told == [line]) is shown


def test_the_page_of_a_server_that_stays_is_shown() -> None:
    told: list[str] = []
    of_driver, _, _ = local._lines_of_the_flow(told.append, own_server=False)
    of_driver(DRIVER[-1][0])
    assert told == [DRIVER[-1][0]]


def test_errors_of_the_engine_are_left_out_with_their_tracebacks_and_those_of_tasks_are_not() -> None:
    told: list[str] = []
    _, of_worker, of_server = local._lines_of_the_flow(told.append, own_server=True)
    engine = [
        "2026-01-01 00:00:00,000 - distributed.batched - INFO - Batched Comm Closed <TCP>",
        "Traceback (most recent call last):",
        '  File "batched.py", line 115, in _background_send',
        "",
        "The above exception was the direct cause of the following exception:",
        "distributed.comm.core.CommClosedError: in <TCP (closed)>: Stream is closed",
    ]
    tasks = [
        "square of 3",
        "Traceback (most recent call last):",
        "ValueError: told to",
        "2026-01-01 00:00:00,000 - distributed.worker - ERROR - Could not start",
    ]
    for line in [*engine, *tasks]:
        of_worker("default-w-0", line)
    of_worker("default-w-1", "Traceback of another worker")
    of_server("INFO: 127.0.0.1 - GET /api/health")
    assert told == [*tasks, "Traceback of another worker"]


def test_without_the_runner_plugin_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with (
        pytest.raises(Problem, match=r"needs Prefect and an engine: pip install"),
        local.started(Manifests({}), None, print, everything=False),
    ):
        pass
