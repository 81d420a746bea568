"""What a task needs of its worker, said the same way for Dask and Ray.

usage: python examples/task_runners/08_resources.py [CPUS [GPUS]]
"""

import sys
import time

from prefect import flow, task

from prefect_flowrun import ClusterTaskRunner, needs


@task
@needs(num_cpus=1)
def load(part: int) -> int:
    return part


@task
def train(part: int) -> tuple[float, float]:
    start = time.time()
    time.sleep(0.2)
    return start, time.time()


@flow(task_runner=ClusterTaskRunner(), log_prints=True)
def training(cpus: float = 1, gpus: float = 0) -> None:
    parts = load.map(range(4))
    # Around submits: for values that are known only when the flow runs.
    with needs(num_cpus=cpus, resources={"GPU": gpus} if gpus else {}):
        spans = train.map(parts).result()
    most = max(sum(start <= moment < end for start, end in spans) for moment, _ in spans)
    print(f"trained {len(spans)} parts, {most} at a time")


if __name__ == "__main__":
    training(*map(float, sys.argv[1:]))
