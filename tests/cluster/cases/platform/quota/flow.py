"""Its process is killed when a task is done: somebody else has to tell Prefect."""

import os
import signal

from prefect import flow, task

from prefect_flowrun import ClusterTaskRunner


@task
def double(number: int) -> int:
    return 2 * number


@flow(task_runner=ClusterTaskRunner())
def main(killed: bool = False) -> None:
    assert double.submit(21).result() == 42
    if killed:
        os.kill(os.getpid(), signal.SIGKILL)
