"""Tasks that tasks submit, on one worker: whoever waits makes room for what it waits for."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task
from prefect.futures import as_completed, wait
from prefect_server import PrefectServer, eventually
from small_clusters import SmallCluster

# A test that hangs fails by this, in its flow.
PATIENCE_S = 120


@task
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@task
def where() -> tuple[int, str]:
    return os.getpid(), os.environ.get("RAY_WORKER_PID", "")


def run_in_flow(cluster: SmallCluster, task_: Any, *args: Any, **options: Any) -> Any:
    """Run one task in a flow on the cluster, and return what it returns."""

    @flow(task_runner=cluster.runner(**options))
    def nesting() -> Any:
        return task_.submit(*args).result(timeout=PATIENCE_S)

    return nesting()


def test_task_waits_for_what_it_submits(small_cluster: SmallCluster) -> None:
    @task
    def outer() -> int:
        return int(add.submit(add.submit(1)).result()) + sum(add.map(range(3)).result())

    assert run_in_flow(small_cluster, outer) == 3 + 6


def test_many_tasks_wait_for_tasks_that_wait(small_cluster: SmallCluster) -> None:
    @task
    def middle(number: int) -> int:
        return sum(add.map([number, number]).result())

    @task
    def outer(number: int) -> int:
        return sum(middle.map([number, number]).result())

    @flow(task_runner=small_cluster.runner())
    def nesting() -> list[int]:
        return list(outer.map(range(4)).result(timeout=PATIENCE_S))

    assert nesting() == [4 * (number + 1) for number in range(4)]


def test_async_task_waits_for_what_it_submits(small_cluster: SmallCluster) -> None:
    @task
    async def inner(number: int) -> int:
        return number + 1

    @task
    async def outer() -> int:
        return sum(inner.map(range(3)).result())

    assert run_in_flow(small_cluster, outer) == 6


@pytest.mark.parametrize("how", ["wait", "as_completed", "callback"])
def test_every_way_to_wait_makes_room(small_cluster: SmallCluster, how: str) -> None:
    @task
    def outer() -> list[int]:
        import threading

        futures = [add.submit(number) for number in range(3)]
        if how == "wait":
            assert not wait(futures, timeout=PATIENCE_S).not_done
        elif how == "as_completed":
            assert len(list(as_completed(futures, timeout=PATIENCE_S))) == 3
        else:
            for future in futures:
                called = threading.Event()
                future.add_done_callback(lambda _, called=called: called.set())
                assert called.wait(PATIENCE_S)
        return [future.result() for future in futures]

    assert run_in_flow(small_cluster, outer) == [1, 2, 3]


def test_wait_with_a_timeout_returns_in_time(small_cluster: SmallCluster, tmp_path: Path) -> None:
    @task
    def held() -> str:
        while not (tmp_path / "gate").exists():
            time.sleep(0.02)
        return "late"

    @task
    def outer() -> tuple[str, str]:
        future = held.submit()
        try:
            early = future.result(timeout=0.2)
        except TimeoutError:
            early = "nothing yet"
        (tmp_path / "gate").touch()
        return early, future.result()

    assert run_in_flow(small_cluster, outer) == ("nothing yet", "late")


def test_tasks_nobody_waits_for_have_run_when_the_flow_ends(small_cluster: SmallCluster, tmp_path: Path) -> None:
    @task
    def leave_trace(number: int) -> None:
        time.sleep(0.1)
        (tmp_path / str(number)).touch()

    @task
    def outer() -> str:
        leave_trace.map(range(3))
        return "not waited"

    assert run_in_flow(small_cluster, outer) == "not waited"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2"]


def test_tasks_of_a_failed_task_do_not_begin(small_cluster: SmallCluster, tmp_path: Path) -> None:
    @task
    def leave_trace(number: int) -> None:
        (tmp_path / f"began-{number}").touch()
        time.sleep(1)

    @task
    def outer() -> None:
        leave_trace.map(range(20))
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        run_in_flow(small_cluster, outer)
    assert len(list(tmp_path.iterdir())) <= small_cluster.threads + 1


@pytest.mark.parametrize("wrap", [lambda future: future, lambda future: {"deep": [future]}], ids=["plain", "nested"])
def test_futures_that_a_task_returns_have_ended(small_cluster: SmallCluster, wrap: Any) -> None:
    @task
    def outer() -> Any:
        return wrap(add.submit(6))

    @flow(task_runner=small_cluster.runner())
    def nesting() -> tuple[bool, int]:
        found = outer.submit().result(timeout=PATIENCE_S)
        future = found["deep"][0] if isinstance(found, dict) else found
        return future.state.is_completed(), future.result()

    assert nesting() == (True, 7)


def test_subflow_inside_a_task_runs_its_tasks_on_the_cluster(small_cluster: SmallCluster) -> None:
    @flow(task_runner=small_cluster.runner())
    def inside(number: int) -> int:
        first = add.submit(number)
        return int(add.submit(2, wait_for=[first]).result()) + int(first.result())

    @task
    def outer() -> int:
        return inside(3)

    assert run_in_flow(small_cluster, outer) == 3 + 4


def test_futures_of_other_levels_are_waited_for(small_cluster: SmallCluster) -> None:
    @task
    def outer(given: int) -> int:
        first = add.submit(given)

        @task
        def middle(value: int) -> int:
            return int(add.submit(value, wait_for=[first]).result())

        return int(middle.submit(first).result())

    @flow(task_runner=small_cluster.runner())
    def nesting() -> int:
        given = add.submit(0)
        return int(outer.submit(given).result(timeout=PATIENCE_S))

    assert nesting() == 3


def test_nested_runs_are_recorded_with_their_parent(small_cluster: SmallCluster, prefect_api: PrefectServer) -> None:
    @task
    def outer() -> list[int]:
        return [add.submit(number).result() for number in range(2)]

    @flow(task_runner=small_cluster.runner())
    def nesting() -> str:
        future = outer.submit()
        future.result(timeout=PATIENCE_S)
        return str(future.task_run_id)

    state = nesting(return_state=True)
    runs = prefect_api.final_task_runs(state.state_details.flow_run_id, 3)

    parent = state.result()
    nested = [run for run in runs if run["id"] != parent]
    assert {run["state_name"] for run in runs} == {"Completed"}
    assert len(nested) == 2
    for run in nested:
        assert [each["id"] for each in run["task_inputs"]["__parents__"]] == [parent]


def test_lost_nested_task_is_crashed_and_its_parent_told(small_cluster: SmallCluster) -> None:
    @task
    def die() -> None:
        os._exit(1)

    @task
    def survive() -> str:
        return "here"

    @task(retries=2)
    def outer() -> str:
        future = die.submit()
        future.wait()
        return f"{future.state.name} {survive.submit().result()}"

    if small_cluster.engine == "dask":
        pytest.skip("the worker is the parent's as well")
    assert run_in_flow(small_cluster, outer) == "Crashed here"


def test_cancelled_flow_leaves_no_nested_task_unfinished(
    small_cluster: SmallCluster, prefect_api: PrefectServer, tmp_path: Path
) -> None:
    @task
    def held(number: int) -> None:
        (tmp_path / f"began-{number}").touch()
        deadline = time.monotonic() + 60
        while not (tmp_path / "gate").exists() and time.monotonic() < deadline:
            time.sleep(0.02)

    @task
    def outer() -> None:
        held.map(range(10)).wait()

    @flow(task_runner=small_cluster.runner())
    def nesting() -> None:
        outer.submit()
        eventually(lambda: list(tmp_path.glob("began-*")), bool)
        raise ValueError("enough")

    state = nesting(return_state=True)
    (tmp_path / "gate").touch()

    assert state.is_failed()
    flow_run_id = str(state.state_details.flow_run_id)
    ended = {"CANCELLED", "COMPLETED", "CRASHED"}
    states = eventually(
        lambda: {run["state_type"] for run in prefect_api.task_runs(flow_run_id)},
        lambda found: found and found <= ended,
    )
    assert states
    assert states <= ended
