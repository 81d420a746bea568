import os
import time
from pathlib import Path

import helpers
from prefect import flow, get_run_logger, task
from prefect.futures import as_completed, wait
from prefect.task_runners import ThreadPoolTaskRunner

from prefect_flowrun import ClusterTaskRunner


@task
def where():
    return os.getpid()


@task
async def where_async():
    return os.getpid()


@task
def add(left, right):
    return left + right


@task
def double(value):
    return helpers.double(value)


@task
def broken(value):
    helpers.fail(value)


@task
def sleep(seconds, started):
    Path(started).touch()
    time.sleep(seconds)


@task
def mark(path):
    Path(path).touch()


@flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
def threaded_subflow():
    return where.submit().result()


@flow
def subflow():
    return where.submit().result()


@flow(task_runner=ClusterTaskRunner())
async def async_subflow():
    return where_async.submit().result()


@flow
def placement():
    """Say where each kind of call runs: on the worker or in this process."""
    here = os.getpid()
    elsewhere = {
        "submit": where.submit().result() != here,
        "async task": where_async.submit().result() != here,
        "subflow": subflow() != here,
        "with_options": subflow.with_options(name="renamed")() != here,
    }
    in_driver = {"plain call": where() == here, "explicit threads": threaded_subflow() == here}
    wrong = [name for name, right in {**elsewhere, **in_driver}.items() if not right]
    assert not wrong, wrong


@flow
async def async_flow():
    assert where_async.submit().result() != os.getpid()
    assert await async_subflow() != os.getpid()


@flow
def everything():
    """Futures, dependencies, map, wait, as_completed, classes of helper modules, logs."""
    total = add.submit(add.submit(1, 2), right=add.submit(3, 4))
    assert total.result() == 10
    assert add.map([1, 2, 3], right=10).result() == [11, 12, 13]
    measurement = double.submit(21).result()
    assert isinstance(measurement, helpers.Measurement)
    assert measurement.value == 42
    first = add.submit(1, 1)
    done, not_done = wait([first, add.submit(2, 2, wait_for=[first])])
    assert len(done) == 2
    assert not not_done
    assert sorted(future.result() for future in as_completed([add.submit(0, n) for n in range(3)])) == [0, 1, 2]
    try:
        broken.submit(7).result()
    except helpers.HelperError as error:
        get_run_logger().info("caught %s", error)
    else:
        raise AssertionError("the task's exception did not reach the flow")
    dependent = add.submit(broken.submit(8), 1)
    dependent.wait()
    assert dependent.state.name == "NotReady"


@flow
def failing():
    return broken.submit(1).result()


@flow
def drops_its_tasks_when_it_fails(folder):
    for number in range(20):
        sleep.submit(0.5, f"{folder}/{number}")
    raise ValueError("the flow gives up")


@flow
def typed(count: int, name: str = "x"):
    return count


@flow
def long_task(started):
    sleep.submit(120, started).result()


@flow
async def long_async(started):
    future = sleep.submit(120, started)
    future.wait()


@flow
def long_thread(started):
    sleep.with_options(name="in-a-thread").submit(120, started).result()


@flow
def exits():
    raise SystemExit(3)


@flow(task_runner=ClusterTaskRunner("gpu"))
def wants_gpu():
    return where.submit().result()


@flow
def two_clusters():
    assert wants_gpu() != subflow() != os.getpid()


@flow(task_runner=ClusterTaskRunner())
def on_own_runner():
    assert [add.submit(n, 1).result() for n in range(3)] == [1, 2, 3]


@flow
def generating():
    yield add.submit(1, 1).result()
