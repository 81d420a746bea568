"""The runner's own runtime environment: its variables reach the tasks."""

import os

from prefect import flow, task
from prefect_ray import RayTaskRunner

WANTED = {"CURRENCY": "EUR", "OMP_NUM_THREADS": "3"}


@task
def seen() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in WANTED}


@flow(task_runner=RayTaskRunner(init_kwargs={"runtime_env": {"env_vars": WANTED}}))
def main() -> None:
    found = seen.submit().result()
    assert found == WANTED, found
