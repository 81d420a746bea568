"""Flows of the tests of Ray, on-demand, elastic and standalone clusters; applied as a ConfigMap."""

import os
import socket
import time

import ray
from prefect import flow, task
from prefect_ray import RayTaskRunner

from prefect_flowrun import ClusterTaskRunner


@task
def where(i: int, seconds: float = 0.0) -> str:
    time.sleep(seconds)
    return socket.gethostname()


def hosts(n: int, seconds: float = 0.0) -> list[str]:
    found = [future.result() for future in [where.submit(i, seconds) for i in range(n)]]
    print("hosts", *sorted(set(found)), flush=True)
    return found


@flow(task_runner=RayTaskRunner())
def unmodified(n: int = 6, seconds: float = 0.5) -> None:
    assert all(host != socket.gethostname() for host in hosts(n, seconds))
    print("dashboard", ray.get_runtime_context().gcs_address, flush=True)


@flow(task_runner=ClusterTaskRunner("ray"))
def long_on_ray(n: int = 40, seconds: float = 2.0) -> None:
    hosts(n, seconds)


@flow(task_runner=ClusterTaskRunner("burst"))
def in_burst(n: int = 4, seconds: float = 0.2) -> None:
    hosts(n, seconds)


@flow(task_runner=ClusterTaskRunner("burst", workers=9))
def too_many() -> None:
    hosts(1)


@flow(task_runner=ClusterTaskRunner("absent"))
def no_such_cluster() -> None:
    hosts(1)


@flow
def around_a_burst(before_s: float = 6.0, after_s: float = 14.0, n: int = 4) -> None:
    where(0)
    time.sleep(before_s)
    in_burst(n)
    print("burst is over", flush=True)
    time.sleep(after_s)


@flow(task_runner=ClusterTaskRunner("wide"))
def in_waves(first: int = 8, seconds: float = 2.0, pause_s: float = 12.0) -> None:
    hosts(first, seconds)
    print("wave is over", flush=True)
    time.sleep(pause_s)
    hosts(1)


@flow(task_runner=ClusterTaskRunner(f"taskcluster/{os.environ.get('TASKCLUSTER', 'shared')}", engine="ray"))
def attached(n: int = 4) -> None:
    assert all("shared" in host for host in hosts(n))
