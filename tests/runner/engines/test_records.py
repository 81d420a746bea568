"""What Prefect has recorded when a flow has ended, and what the flow still has: on both engines."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from prefect import flow, task
from prefect.context import FlowRunContext
from prefect_server import PrefectServer, eventually
from small_clusters import SmallCluster

from prefect_flowrun.runner import connections
from prefect_flowrun.runner.kept_outcomes import keep_outcomes

LINES = 5


@task
def short(number: int) -> int:
    return number


@task(log_prints=True)
def prints(number: int, moment_s: float) -> None:
    for line in range(LINES):
        print(f"task {number} line {line}")  # noqa: T201
        time.sleep(moment_s)


@task
def goes_on(began: Path, gate: Path) -> None:
    began.touch()
    deadline = time.monotonic() + 120
    while not gate.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def flow_run_id() -> str:
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    return str(context.flow_run.id)


def test_the_end_of_a_subflow_loses_no_task_run_of_the_flow_around_it(
    small_cluster: SmallCluster, prefect_api: PrefectServer
) -> None:
    @flow(task_runner=small_cluster.runner())
    def inner() -> None:
        short.submit(0).result()

    @flow(task_runner=small_cluster.runner())
    def outer() -> tuple[str, int]:
        futures = short.map(range(30))
        subflows = 0
        while not all(future.state.is_final() for future in futures):
            inner()
            subflows += 1
        return flow_run_id(), subflows

    run, subflows = outer()
    # To Prefect a subflow is a task run of the flow around it, too.
    states = prefect_api.task_states(run, expected=30 + subflows)
    assert states == ["COMPLETED"] * (30 + subflows)


def test_F24_a_task_that_a_failed_flow_has_given_up_does_not_stay_running(
    small_cluster: SmallCluster, prefect_api: PrefectServer, tmp_path: Path
) -> None:
    began, gate = tmp_path / "began", tmp_path / "gate"

    @flow(task_runner=small_cluster.runner())
    def failing() -> None:
        for _ in range(small_cluster.threads + 3):
            goes_on.submit(began, gate)
        assert eventually(began.exists, bool)
        raise ValueError

    try:
        state = failing(return_state=True)
        flow_run_id = str(state.state_details.flow_run_id)
        # Those that had begun, each recorded in its time; of the others Prefect has never heard.
        states = eventually(
            lambda: {run["state_type"] for run in prefect_api.task_runs(flow_run_id)},
            lambda found: found == {"CANCELLED"},
        )
        assert states == {"CANCELLED"}
    finally:
        gate.touch()


def test_every_line_that_tasks_print_at_the_same_time_is_logged(
    small_cluster: SmallCluster, prefect_api: PrefectServer
) -> None:
    @flow(task_runner=small_cluster.runner())
    def printing() -> str:
        for future in prints.map(range(8), [0.01 * number for number in range(8)]):
            future.result()
        return flow_run_id()

    wanted = {f"task {number} line {line}" for number in range(8) for line in range(LINES)}
    run = printing()
    assert wanted <= set(eventually(lambda: prefect_api.logs(run), lambda lines: wanted <= set(lines)))


@pytest.mark.parametrize("size", [10, 2_000_000])
def test_a_future_that_the_flow_still_holds_has_its_result_when_the_cluster_is_left(
    small_cluster: SmallCluster, size: int
) -> None:
    @task
    def make() -> bytes:
        return b"x" * size

    held = []

    @flow(task_runner=small_cluster.runner())
    def making() -> None:
        held.append(make.submit())
        held[0].wait()

    making()
    connection = connections.acquire_local(small_cluster.engine)
    try:
        assert held[0] in connection.futures
        [known] = connection.engine.sizes([held[0].wrapped_future])
        assert known is None or known > 0
        keep_outcomes(connection.engine, held)
    finally:
        connections.release(connection)
    assert not held[0].is_on_cluster()
    assert len(held[0].result()) == size
