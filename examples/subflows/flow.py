"""One flow, three places: plain calls in the driver, a subflow on Dask, a subflow on Ray.

The Ray cluster is on demand: its pods exist only while the subflow that uses it runs.
"""

import socket
import time

from prefect import flow, task
from prefect_dask import DaskTaskRunner
from prefect_ray import RayTaskRunner


@task
def greet(name: str) -> str:
    return f"hello {name} from {socket.gethostname()}"


@flow(task_runner=DaskTaskRunner(), log_prints=True)
def on_dask(names: list[str]) -> None:
    for line in greet.map(names).result():
        print(f"Dask: {line}")


@flow(task_runner=RayTaskRunner(), log_prints=True)
def on_ray(names: list[str]) -> None:
    for line in greet.map(names).result():
        print(f"Ray: {line}")


@flow(log_prints=True)
def greetings(names: list[str], pause_s: float = 0.0) -> None:
    for name in names:
        print(f"driver: {greet(name)}")
    on_dask(names)
    on_ray(names)
    time.sleep(pause_s)  # the run goes on without a Ray cluster
    for name in names:
        print(f"driver: {greet(name)}")


if __name__ == "__main__":
    greetings(["arthur", "trillian", "ford", "marvin"])
