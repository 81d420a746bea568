"""As whom driver and worker run."""

import os

from prefect import flow, task

from prefect_flowrun import ClusterTaskRunner


@task
def uid() -> int:
    return os.getuid()


@flow(task_runner=ClusterTaskRunner())
def main() -> None:
    assert {os.getuid(), uid.submit().result()} == {10001}, "not the image's own user"
