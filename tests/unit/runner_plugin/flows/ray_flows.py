import os
import signal
import sys
import time
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.task_runners import ThreadPoolTaskRunner

from prefect_flowrun import ClusterTaskRunner


@task
def process():
    """Name this process, its parent, and tell whether it is one of Ray's."""
    return os.getpid(), os.getppid(), "ray" in sys.modules


@task
def sleep(seconds, started=None):
    if started:
        Path(started).touch()
    time.sleep(seconds)
    return os.getpid()


@task
def die(folder):
    """Be lost with the worker at the first start."""
    marker = Path(folder) / "died"
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "second start"


@flow
def on_ray():
    here = os.getpid()
    found = [process.submit().result() for _ in range(4)]
    assert all(pid != here and ray for pid, _, ray in found), found
    get_run_logger().info("ran in %d processes", len({pid for pid, _, _ in found}))


@flow
def loses_a_process(folder):
    return die.with_options(retries=1).submit(folder).result()


@flow
def long_on_ray(started):
    sleep.submit(120, started).result()


@flow(task_runner=ClusterTaskRunner("burst"))
def burst():
    return process.submit().result()


@flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
def threads():
    return sleep.submit(0).result()


@flow(task_runner=ThreadPoolTaskRunner())
def with_burst(pause, times=1):
    assert threads() == os.getpid()
    for _ in range(times):
        assert burst()[0] != os.getpid()
        time.sleep(pause)
    assert threads() == os.getpid()


@flow(task_runner=ClusterTaskRunner("burst", workers=9))
def too_many():
    return process.submit().result()


@flow(task_runner=ClusterTaskRunner("first"))
def on_first():
    return process.submit().result()


@flow(task_runner=ThreadPoolTaskRunner())
def one_after_the_other():
    assert on_first()[2]
    assert burst()[2]
    assert on_first()[2]
