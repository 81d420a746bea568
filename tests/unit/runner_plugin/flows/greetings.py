"""The flow of Prefect's "Dask and Ray task runners" page."""

# ruff: noqa: T201 - printing is all that it does

from prefect import flow, task
from prefect_dask.task_runners import DaskTaskRunner


@task
def say_hello(name):
    print(f"hello {name}")


@task
def say_goodbye(name):
    print(f"goodbye {name}")


@flow(task_runner=DaskTaskRunner(), log_prints=True)
def greetings(names):
    for name in names:
        say_hello.submit(name)
        say_goodbye.submit(name)


@flow(log_prints=True)
def default_greetings(names):
    for name in names:
        say_hello.submit(name)
        say_goodbye.submit(name)
