"""Ordinary tasks: what counts is what Kubernetes does with the pods around them."""

from prefect import flow, task

from prefect_flowrun import ClusterTaskRunner


@task
def double(number: int) -> int:
    return 2 * number


@flow(task_runner=ClusterTaskRunner())
def main() -> None:
    assert double.map(range(4)).result() == [0, 2, 4, 6]
