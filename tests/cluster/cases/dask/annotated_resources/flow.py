"""Three tasks need the worker's only licence, two do not: dask.annotate says which."""

import itertools
import time

import dask
from prefect import flow, task
from prefect.futures import wait
from prefect_dask import DaskTaskRunner


@task
def hold(seconds: float) -> tuple[float, float]:
    start = time.time()
    time.sleep(seconds)
    return start, time.time()


@flow(task_runner=DaskTaskRunner())
def main(seconds: float = 1.0) -> None:
    with dask.annotate(resources={"licence": 1}):
        licensed = [hold.submit(seconds) for _ in range(3)]
    free = [hold.submit(seconds) for _ in range(2)]
    wait([*licensed, *free], timeout=90)
    spans = sorted(future.result() for future in licensed)
    overlaps = [later for earlier, later in itertools.pairwise(spans) if later[0] < earlier[1]]
    assert not overlaps, f"two tasks had the only licence: {spans}"
    assert all(future.state.is_completed() for future in free)
