"""The user's own memory volume at /dev/shm, and at /tmp, takes the place of ours."""

import os
import shutil

from prefect import flow, task
from prefect_ray import RayTaskRunner

MI = 2**20


@task
def size(data: bytes) -> tuple[int, int]:
    return len(data), shutil.disk_usage("/dev/shm").total // MI


@flow(task_runner=RayTaskRunner())
def main(worker_mi: int = 0, driver_mi: int = 0) -> None:
    length, there = size.submit(os.urandom(8 * MI)).result()
    here = shutil.disk_usage("/dev/shm").total // MI
    print(f"/dev/shm: {here} Mi in the driver, {there} Mi in the worker", flush=True)
    assert length == 8 * MI
    assert not worker_mi or abs(there - worker_mi) <= 1
    assert not driver_mi or abs(here - driver_mi) <= 1
