"""As whom driver and worker run."""

import os

from prefect import flow, task

from prefect_flowrun import ClusterTaskRunner


@task
def uid() -> int:
    return os.getuid()


@flow(task_runner=ClusterTaskRunner())
def main(expected: int = 10001) -> None:
    assert [os.getuid(), uid.submit().result()] == [expected] * 2
