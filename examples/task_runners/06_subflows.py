"""Several task runners in one run: a subflow has its own, and inherits none."""

import os

from prefect import flow, task

from prefect_flowrun import ClusterTaskRunner

NAMES = ["ada", "grace", "edsger", "barbara"]


@task
def greet(name: str) -> tuple[str, int]:
    return f"hello {name}", os.getpid()


def report(engine: str, answers: list[tuple[str, int]]) -> None:
    elsewhere = sum(process != os.getpid() for _, process in answers)
    print(f"{engine}: {len(answers)} greetings, {elsewhere} of them from other processes")


@flow(task_runner=ClusterTaskRunner(engine="dask"), log_prints=True)
def on_dask(names: list[str]) -> None:
    report("Dask", greet.map(names).result())


@flow(task_runner=ClusterTaskRunner(engine="ray"), log_prints=True)
def on_ray(names: list[str]) -> None:
    report("Ray", greet.map(names).result())


@flow(task_runner=ClusterTaskRunner(engine="threads"), log_prints=True)
def in_threads(names: list[str]) -> None:
    report("threads", greet.map(names).result())


@flow(log_prints=True)
def greetings(names: list[str] = NAMES) -> None:
    on_dask(names)
    on_ray(names)
    in_threads(names)
    print("all said")


if __name__ == "__main__":
    greetings()
