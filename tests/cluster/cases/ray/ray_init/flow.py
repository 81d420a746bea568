"""Ray is started by the module itself, as scripts do; its own tasks and actors run beside Prefect's."""

import socket

import ray
from prefect import flow, task
from prefect_ray import RayTaskRunner

if not ray.is_initialized():
    ray.init()


@task
def host() -> str:
    return socket.gethostname()


@ray.remote
def host_of_ray() -> str:
    return socket.gethostname()


@ray.remote(num_cpus=0)
class Counter:
    def __init__(self) -> None:
        self.count = 0

    def add(self, more: int) -> int:
        self.count += more
        return self.count


@flow(task_runner=RayTaskRunner())
def hosts() -> set[str]:
    return {future.result() for future in [host.submit() for _ in range(3)]}


@flow
def main() -> None:
    here = socket.gethostname()
    for _ in range(2):
        assert here not in hosts(), "tasks ran in the driver's pod"
        assert ray.is_initialized(), "the runner closed a connection that it had not opened"
    assert here not in ray.get([host_of_ray.remote() for _ in range(3)])
    counter = Counter.remote()
    assert ray.get([counter.add.remote(1) for _ in range(3)])[-1] == 3
