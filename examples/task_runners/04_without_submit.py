"""A task that is called, not submitted, runs in the flow's process and in order, whatever the task runner."""

import os

from prefect import flow, task

from prefect_flowrun import ClusterTaskRunner

NAMES = ["ada", "grace", "edsger", "barbara"]


@task(log_prints=True)
def greet(name: str, flow_process: int) -> None:
    place = "in the flow's process" if os.getpid() == flow_process else "on a worker"
    print(f"hello {name}, {place}")


@flow(task_runner=ClusterTaskRunner(engine="dask"))
def greetings(names: list[str] = NAMES) -> None:
    for name in names:
        greet(name, os.getpid())
    greet.submit("everybody", os.getpid()).wait()


if __name__ == "__main__":
    greetings()
