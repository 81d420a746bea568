"""A flow for each way in which a run can end; see `laptop/test_runs.py`."""

import logging
import os
import signal
import time
from pathlib import Path

from prefect import flow, get_run_logger, task

from prefect_flowrun import ClusterTaskRunner


@task
def square(number: int) -> int:
    return number * number


@flow
def completed(count: int = 3) -> int:
    return sum(square.map(range(count)).result())


@flow
def failed() -> None:
    square.submit(1).wait()
    raise ValueError("told to")


@flow
def killed(marks: str, times: int) -> int:
    """Ends its process so many times."""
    with Path(marks).open("a") as file:
        file.write("x")
    if len(Path(marks).read_text()) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return square.submit(2).result()


def _mark(_flow: object, _run: object, _state: object) -> None:
    logging.getLogger("prefect.hooks").warning("the hook has run")


@flow(on_cancellation=[_mark])
def endless() -> None:
    square.submit(1).wait()
    get_run_logger().info("begun")
    time.sleep(600)


@flow(task_runner=ClusterTaskRunner("later"))
def on_later(count: int) -> int:
    return sum(square.map(range(count)).result())


@flow
def on_demand() -> int:
    return on_later(3) + on_later(4)
