"""The flow and a task of it compute with the runner's own Dask client, beside Prefect tasks."""

import math
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from prefect import flow, task
from prefect_dask import DaskTaskRunner, get_dask_client


@task
def double(number: int) -> int:
    return 2 * number


@task
def with_client(number: int) -> int:
    with get_dask_client() as client:
        return client.submit(math.factorial, number).result()


def factorials(count: int) -> list[int]:
    with get_dask_client() as client:
        return client.gather(client.map(math.factorial, range(count)))


@flow(task_runner=DaskTaskRunner())
def main(count: int = 6) -> None:
    expected = [math.factorial(number) for number in range(count)]
    assert double.map(range(3)).result() == [0, 2, 4]
    assert factorials(count) == expected
    with ThreadPoolExecutor(3) as pool:
        # A context for each: one can't be entered twice at the same time.
        found = [pool.submit(copy_context().run, factorials, count) for _ in range(3)]
        assert [each.result() for each in found] == 3 * [expected]
    assert with_client.submit(count).result() == math.factorial(count)
    assert double.submit(21).result() == 42, "the runner's own connection went with a client of the flow's"
