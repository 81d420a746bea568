"""The memory limit comes from the namespace, not from the spec: what the worker plans with."""

import os
from pathlib import Path

from prefect import flow, task

from prefect_flowrun import ClusterTaskRunner

MI = 2**20
# cgroup v2, and v1, which some clusters still have.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def limit() -> int:
    return next(int(path.read_text()) for path in LIMITS if path.exists())


@task
def of_ray() -> tuple[int, int]:
    import ray

    own = ray.get_runtime_context().get_node_id()
    (node,) = [node for node in ray.nodes() if node["NodeID"] == own]
    return limit(), int(node["Resources"]["object_store_memory"])


@task
def of_dask() -> tuple[int, int]:
    from distributed.worker import Worker

    (worker,) = Worker._instances
    return limit(), worker.memory_manager.memory_limit or 0


@task
def data(size_mi: int) -> bytes:
    return os.urandom(1024) * (1024 * size_mi)


@task
def size_mi(value: bytes) -> int:
    return len(value) // MI


@flow(task_runner=ClusterTaskRunner())
def main(engine: str, held: int = 0) -> None:
    real, planned = (of_ray if engine == "ray" else of_dask).submit().result()
    print(f"{engine}: plans with {planned // MI} Mi of {real // MI} Mi", flush=True)
    most = real // 2 if engine == "ray" else real
    assert 0 < planned <= most
    kept = [data.submit(20) for _ in range(held)]
    assert [size_mi.submit(value).result() for value in kept] == [20] * held
