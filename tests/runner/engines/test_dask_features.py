"""What flows written for prefect-dask use of Dask itself: clients, annotations, reports."""

from __future__ import annotations

import asyncio
import itertools
import operator
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import dask
import distributed
import pytest
from prefect import flow, task
from prefect.futures import wait
from prefect_dask import get_async_dask_client, get_dask_client
from prefect_server import PrefectServer, eventually
from small_clusters import SmallCluster, dask_cluster

from prefect_flowrun.runner import connections
from prefect_flowrun.runner.options import StandsFor

PATIENCE_S = 120


@pytest.fixture(scope="module")
def cluster(prefect_api: PrefectServer) -> Iterator[SmallCluster]:
    with pytest.MonkeyPatch.context() as patch, dask_cluster(2, patch):
        connection = connections.acquire_local("dask")
        try:
            yield SmallCluster("dask", 2)
        finally:
            connections.release(connection)


@task
def plus_one(number: int) -> int:
    return number + 1


def process_of_a_collection() -> int:
    """Return the process in which Dask computes a collection, here and now."""
    return int(dask.delayed(os.getpid)().compute())


def test_flow_and_its_threads_get_clients_of_the_cluster_and_tasks_go_on(cluster: SmallCluster) -> None:
    @flow(task_runner=cluster.runner())
    def asking() -> list[int]:
        def square(number: int) -> int:
            with get_dask_client() as client:
                assert client.scheduler_info(n_workers=-1)["workers"]
                return int(client.submit(operator.mul, number, number, pure=False).result())

        first = square(2)  # before any task
        assert plus_one.submit(4).result() == 5
        with ThreadPoolExecutor(4) as pool:
            contexts = [copy_context() for _ in range(4)]
            squares = list(pool.map(lambda context, number: context.run(square, number), contexts, range(4)))
        with get_dask_client():
            assert process_of_a_collection() != os.getpid()
        return [first, *squares, *plus_one.map(range(2)).result()]

    assert asking() == [4, 0, 1, 4, 9, 1, 2]


def test_async_flow_gets_an_async_client(cluster: SmallCluster) -> None:
    @flow(task_runner=cluster.runner())
    async def asking() -> int:
        async with get_async_dask_client() as client:
            return int(await client.submit(operator.mul, 3, 4, pure=False))

    assert asyncio.run(asking()) == 12


def test_tasks_at_the_same_time_get_clients(cluster: SmallCluster) -> None:
    @task
    def sync_task(number: int) -> int:
        with get_dask_client() as client:
            return int(client.submit(operator.mul, number, number, pure=False).result())

    @task
    async def async_task(number: int) -> int:
        async with get_async_dask_client() as client:
            return int(await client.submit(operator.mul, number, number, pure=False))

    @task
    def plain(number: int) -> tuple[int, int, bool]:
        with distributed.worker_client() as client:
            product = int(client.submit(operator.mul, number, 2, pure=False).result())
        own = distributed.get_client().submit(operator.mul, number, 3, pure=False)
        distributed.secede()
        try:
            return product, int(own.result()), distributed.get_worker().address.startswith("tcp://")
        finally:
            distributed.rejoin()

    @flow(task_runner=cluster.runner())
    def asking() -> Any:
        # One at a time of those that block: the worker has two threads, for them and for what they submit.
        squares = [sync_task.submit(number).result(timeout=PATIENCE_S) for number in range(2)]
        squares += [async_task.submit(number).result(timeout=PATIENCE_S) for number in range(2)]
        return squares, plain.map(range(4)).result(timeout=PATIENCE_S)

    assert asking() == ([0, 1, 0, 1], [(2 * number, 3 * number, True) for number in range(4)])


def test_other_runners_say_that_they_have_no_dask_client(cluster: SmallCluster) -> None:
    from prefect_flowrun import ClusterTaskRunner

    @flow(task_runner=ClusterTaskRunner(engine="threads"))
    def asking() -> None:
        with get_dask_client():
            pass

    with pytest.raises(RuntimeError, match="There is no Dask client here: the tasks of this flow run in the flow's pr"):
        asking()


def test_flow_may_have_its_client_made_the_default(cluster: SmallCluster) -> None:
    runner = cluster.runner()
    runner.stands_for = StandsFor(client_kwargs=(("set_as_default", True),))

    @flow(task_runner=runner)
    def asking() -> int:
        plus_one.submit(1).wait()
        return process_of_a_collection()

    before = distributed.client._global_clients.copy()
    try:
        assert asking() != os.getpid()
    finally:
        distributed.client._global_clients.clear()
        distributed.client._global_clients.update(before)


def test_tasks_that_need_the_one_resource_of_a_worker_run_one_at_a_time(cluster: SmallCluster) -> None:
    @task
    def query(seconds: float) -> tuple[float, float]:
        began = time.time()
        time.sleep(seconds)
        return began, time.time()

    @flow(task_runner=cluster.runner())
    def guarded() -> Any:
        with dask.annotate(resources={"db": 1}):
            return query.map([0.3] * 3).result(timeout=PATIENCE_S)

    spans = sorted(guarded())
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans))


def test_task_that_nobody_can_take_says_so_at_once(cluster: SmallCluster) -> None:
    @flow(task_runner=cluster.runner())
    def asking() -> list[Any]:
        with dask.annotate(resources={"crane": 1}):
            unknown = plus_one.submit(1)
        with dask.annotate(resources={"db": 2}):
            too_much = plus_one.submit(1)
        downstream = plus_one.submit(unknown)
        wait([unknown, too_much, downstream], timeout=PATIENCE_S)
        return [(future.state.name, future.state.message) for future in (unknown, too_much, downstream)]

    unknown, too_much, downstream = asking()
    assert unknown[0] == too_much[0] == downstream[0] == "Crashed"
    assert "it needs crane 1, and the workers offer CPU 2, db 1" in unknown[1]
    assert "it needs db 2, and the workers offer" in too_much[1]


def test_priorities_are_kept(cluster: SmallCluster, tmp_path: Path) -> None:
    @task
    def note(name: str) -> None:
        with (tmp_path / "order").open("a") as order:
            order.write(name)

    @task
    def hold() -> None:
        (tmp_path / "held").touch()
        deadline = time.monotonic() + PATIENCE_S
        while not (tmp_path / "gate").exists() and time.monotonic() < deadline:
            time.sleep(0.02)

    def on_worker() -> int:
        """How many tasks are there to be chosen from."""
        with get_dask_client() as client:
            return sum(len(keys) for keys in client.processing().values())

    @flow(task_runner=cluster.runner())
    def ordered() -> None:
        with dask.annotate(resources={"db": 1}):
            hold.submit()
            eventually((tmp_path / "held").exists, bool)
            futures = []
            for name, priority in (("c", -10), ("b", 0), ("a", 10)):
                with dask.annotate(priority=priority):
                    futures.append(note.submit(name))
            eventually(on_worker, lambda count: count == 4)
            (tmp_path / "gate").touch()
            wait(futures, timeout=PATIENCE_S)

    ordered()
    assert (tmp_path / "order").read_text() == "abc"


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ("dask", "dask.annotate(retries=...) has no effect: Prefect retries tasks"),
        ("threads", "dask.annotate(retries=...) has no effect: the task does not run on Dask"),
    ],
)
def test_annotation_without_effect_is_named_once(
    cluster: SmallCluster, prefect_api: PrefectServer, engine: str, said: str
) -> None:
    from prefect_flowrun import ClusterTaskRunner

    @flow(task_runner=ClusterTaskRunner(engine=engine))
    def annotated() -> None:
        with dask.annotate(retries=3):
            plus_one.map(range(2)).wait()

    state = annotated(return_state=True)

    flow_run_id = str(state.state_details.flow_run_id)
    lines = eventually(
        lambda: [line for line in prefect_api.logs(flow_run_id) if "dask.annotate" in line],
        bool,
    )
    assert [said in line for line in lines] == [True]


def test_performance_report_is_a_file_and_an_artifact(
    cluster: SmallCluster, prefect_api: PrefectServer, tmp_path: Path
) -> None:
    path = tmp_path / "deep" / "report.html"

    @flow(task_runner=cluster.runner(performance_report_path=str(path)))
    def reported() -> None:
        plus_one.map(range(3)).wait()

    state = reported(return_state=True)

    html = path.read_text()
    assert "plus_one" in html
    flow_run_id = str(state.state_details.flow_run_id)
    body = {"artifacts": {"flow_run_id": {"any_": [flow_run_id]}}}
    [artifact] = prefect_api.post("artifacts/filter", body)
    assert artifact["key"] == "dask-performance-report"
    assert html in artifact["data"]
