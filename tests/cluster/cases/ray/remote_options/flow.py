"""What a task needs, said in prefect-ray's words: two CPUs each, of the worker's two."""

import itertools
import time

from prefect import flow, task
from prefect_ray import RayTaskRunner
from prefect_ray.context import remote_options


@task
def hold(seconds: float) -> tuple[float, float]:
    start = time.time()
    time.sleep(seconds)
    return start, time.time()


@flow(task_runner=RayTaskRunner())
def main(seconds: float = 1.0) -> None:
    with remote_options(num_cpus=2):
        greedy = [hold.submit(seconds) for _ in range(3)]
    spans = sorted(future.result() for future in greedy)
    overlaps = [later for earlier, later in itertools.pairwise(spans) if later[0] < earlier[1]]
    assert not overlaps, f"two tasks of two CPUs ran on two CPUs at once: {spans}"
