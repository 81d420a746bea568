"""A script as people write it for a laptop or KubeRay: Ray is started at import, and used beside Prefect's tasks."""

import os
import subprocess
import sys

import ray
from prefect import flow, task
from prefect_ray import RayTaskRunner
from prefect_ray.context import remote_options

ray.init(num_cpus=2, ignore_reinit_error=True, include_dashboard=False)

HERE = os.getpid()


@ray.remote
def native(x):
    return x * 2, os.getpid()


@ray.remote
class Counter:
    def __init__(self):
        self.count = 0

    def add(self, x):
        self.count += x
        return self.count


@task
def pid():
    return os.getpid()


@task
def variables(first, second):
    return os.environ.get(first), os.environ.get(second)


@task
def uses_ray_itself(x):
    """Begin as scripts do, and wait for a task of Ray's on a worker with one CPU: the task must give its CPU away."""
    ray.init(ignore_reinit_error=True)
    ray.init()
    doubled, where = ray.get(native.remote(x))
    ray.shutdown()
    assert ray.is_initialized()
    return doubled, where != os.getpid()


@task
async def uses_ray_in_a_coroutine(x):
    return ray.get(native.remote(x))[0]


@task
def starts_a_process():
    code = "import ray; ray.init(); print(sum(n['Resources'].get('CPU', 0) for n in ray.nodes()))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@task
def options():
    return ray.get_runtime_context().get_assigned_resources()


@flow(task_runner=RayTaskRunner())
def beside():
    assert pid.submit().result() != HERE
    doubled, where = ray.get(native.remote(4))
    assert (doubled, where != HERE) == (8, True)
    counter = Counter.remote()
    assert ray.get([counter.add.remote(1), counter.add.remote(2)]) == [1, 3]
    del counter
    assert uses_ray_itself.submit(5).result() == (10, True)
    assert uses_ray_in_a_coroutine.submit(6).result() == 12
    assert starts_a_process.submit().result() == "1.0"


@flow(task_runner=RayTaskRunner(init_kwargs={"num_cpus": 8, "runtime_env": {"env_vars": {"CURRENCY": "EUR"}}}))
def with_options():
    assert variables.submit("CURRENCY", "UNIT").result() == ("EUR", None)
    with remote_options(num_cpus=0.5, max_retries=7, runtime_env={"env_vars": {"UNIT": "kg"}}):
        assert variables.map(["CURRENCY"], ["UNIT"]).result() == [("EUR", "kg")]
        assert options.submit().result()["CPU"] == 0.5


@flow(task_runner=RayTaskRunner())
def leaves_and_comes_back():
    lost = pid.submit()
    lost.wait()
    ray.shutdown()
    assert not ray.is_initialized()
    assert pid.submit().result() != HERE
    ray.init()
    assert ray.get(native.remote(1))[0] == 2
    try:
        lost.result()
    except Exception as error:
        assert "was left" in str(error), error
    else:
        raise AssertionError("it was on the cluster that the flow had left")


@flow
def main():
    assert ray.is_initialized()
    beside()
    assert ray.get(ray.put("still there")) == "still there"
    with_options()
    leaves_and_comes_back()


@flow
def on_demand():
    """The import has started the cluster; the flow's own shutdown lets it go."""
    assert ray.get(native.remote(1))[0] == 2
    ray.shutdown()
