"""Payloads that kill the process that unpickles them: started again as often as the task's `retries` allow, no more.

The same on Dask and on Ray, with one task thread (Ray: CPU) per worker and with four.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from prefect import allow_failure, flow, task
from prefect.exceptions import CrashedRun
from prefect.runtime import flow_run
from prefect_server import PrefectServer
from small_clusters import SmallCluster

WAIT_S = 280


def die(path: str) -> None:
    """End the process as the kernel does when memory runs out, and leave a mark."""
    with Path(path).open("a") as marks:
        marks.write("x")
    os._exit(1)


class Deadly:
    """Ends the process that unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return die, (self.path,)


@task
def take(_value: Any) -> str:
    return "taken"


@task
def make(path: Path) -> Deadly:
    return Deadly(path)


@task
def harmless(number: int) -> int:
    return number


def final_states(prefect_api: PrefectServer, flow_run_id: str, expected: int) -> dict[str, tuple[str, str]]:
    """State and message of each task run as Prefect has it, by the task's name."""
    runs = prefect_api.final_task_runs(flow_run_id, expected=expected)
    return {run["name"].rpartition("-")[0]: (run["state_type"], run["state"]["message"] or "") for run in runs}


@pytest.mark.parametrize("retries", [0, 2])
def test_a_deadly_parameter_is_crashed_after_the_tasks_retries(
    small_cluster: SmallCluster, prefect_api: PrefectServer, tmp_path: Path, retries: int
) -> None:
    @flow(task_runner=small_cluster.runner())
    def deadly_parameter() -> str:
        # Made in here: what the flow captures goes to the workers with every task.
        lost = take.with_options(retries=retries).submit(Deadly(tmp_path / "deaths"))
        with pytest.raises(CrashedRun, match="worker was lost"):
            lost.result(timeout=WAIT_S)
        assert harmless.submit(3).result(timeout=WAIT_S) == 3
        return str(flow_run.id)

    states = final_states(prefect_api, deadly_parameter(), expected=2)
    assert (tmp_path / "deaths").read_text() == "x" * (1 + retries)
    assert states["harmless"][0] == "COMPLETED"
    assert states["take"][0] == "CRASHED"
    assert f"{retries} re-runs allowed" in states["take"][1]


def test_what_a_task_captures_may_be_deadly_too(
    small_cluster: SmallCluster, prefect_api: PrefectServer, tmp_path: Path
) -> None:
    @flow(task_runner=small_cluster.runner())
    def deadly_task() -> str:
        deadly = Deadly(tmp_path / "deaths")

        @task(retries=1)
        def captures() -> str:
            return str(deadly)

        with pytest.raises(CrashedRun, match="worker was lost"):
            captures.submit().result(timeout=WAIT_S)
        return str(flow_run.id)

    states = final_states(prefect_api, deadly_task(), expected=1)
    assert (tmp_path / "deaths").read_text() == "xx"
    assert states["captures"][0] == "CRASHED"


def test_a_deadly_result_ends_those_who_open_it_and_not_the_task_that_made_it(
    small_cluster: SmallCluster, prefect_api: PrefectServer, tmp_path: Path
) -> None:
    @flow(task_runner=small_cluster.runner())
    def deadly_result() -> str:
        made = make.submit(tmp_path / "deaths")
        lost = take.with_options(retries=1).submit(made)
        with pytest.raises(CrashedRun, match="worker was lost"):
            lost.result(timeout=WAIT_S)
        assert harmless.submit(3).result(timeout=WAIT_S) == 3
        return str(flow_run.id)

    states = final_states(prefect_api, deadly_result(), expected=3)
    assert {name: state for name, (state, _) in states.items()} == {
        "make": "COMPLETED",
        "take": "CRASHED",
        "harmless": "COMPLETED",
    }
    assert (tmp_path / "deaths").read_text() == "xx"


def test_a_task_behind_a_deadly_one_does_not_run(small_cluster: SmallCluster, tmp_path: Path) -> None:
    @task
    def look(upstream: Any) -> str:
        return type(upstream).__name__

    @flow(task_runner=small_cluster.runner())
    def behind() -> list[str]:
        lost = take.submit(Deadly(tmp_path / "deaths"))
        strict, tolerant = look.submit(lost), look.submit(allow_failure(lost))
        strict.wait(WAIT_S)
        tolerant.wait(WAIT_S)
        return [strict.state.name, tolerant.state.name]

    # As everywhere in Prefect: a crash is no failure that could be allowed.
    assert behind() == ["NotReady", "NotReady"]
