"""What the command line asks for, and which lines of a run on this machine are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_flowrun.cli import local
from prefect_flowrun.cli.problem import Problem

SIZE = local.Size("ray", workers=3, threads=2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flow.py:main", True),
        ("dir/my flow.py:main", True),
        ("flow.yaml", False),
        ("-", False),
        ("package.module:flow", False),
        ("flow.py:", False),
        ("C.py:flow.py", False),
    ],
)
def test_an_entrypoint_is_told_from_a_manifest(text: str, expected: bool) -> None:
    assert local.is_entrypoint(text) is expected


def test_a_file_becomes_a_run_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etl.py").touch()
    monkeypatch.chdir(tmp_path.parent)
    found, folder = local.of_file(f"{tmp_path.name}/etl.py:Run_All", SIZE)
    assert folder == tmp_path
    assert found.flow_run["metadata"] == {"name": "run-all"}
    assert found.flow_run["spec"] == {
        "flow": {"entrypoint": "etl.py:Run_All"},
        "clusters": [{"name": "default", "engine": "Ray", "workers": {"replicas": 3, "threads": 2}}],
    }


def test_without_an_engine_tasks_run_in_the_driver(tmp_path: Path) -> None:
    (tmp_path / "etl.py").touch()
    found, _ = local.of_file(f"{tmp_path}/etl.py:etl", local.Size("none", workers=3, threads=2))
    assert found.flow_run["spec"]["clusters"] == []


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"missing\.py: no such file"):
        local.of_file("missing.py:etl", SIZE)


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
