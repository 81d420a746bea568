"""Flows whose workers are lost. What happened is noted in files: processes die here."""

import os
import time
from pathlib import Path

import pytest
from prefect import flow, get_client, get_run_logger, runtime, task
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.exceptions import CrashedRun
from prefect.futures import wait

from prefect_flowrun import ClusterTaskRunner, needs


def note(folder, name):
    """Count a start; return how many there were, this one included."""
    with (Path(folder) / name).open("a") as file:
        file.write("x")
    return (Path(folder) / name).stat().st_size


def wait_for(path):
    deadline = time.monotonic() + 60
    while not Path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def wait_until_recorded(count):
    """Wait until Prefect has the ends of so many task runs: events that a killed worker has not sent yet are lost."""
    mine = FlowRunFilter(id=FlowRunFilterId(any_=[runtime.flow_run.id]))
    deadline = time.monotonic() + 60
    with get_client(sync_client=True) as client:

        def ended():
            runs = client.read_task_runs(flow_run_filter=mine)
            return sum(run.state is not None and run.state.is_final() for run in runs)  # at first they have no state

        while ended() < count:
            assert time.monotonic() < deadline, "Prefect has not recorded them"
            time.sleep(0.05)


@task
def counted(folder, name):
    note(folder, name)
    return f"{name} done"


@task
def ends_its_worker(folder, name, gate, times=1000):
    """End the process, as the kernel does when memory runs out, the first so many times."""
    started = note(folder, name)
    wait_for(gate)
    if started <= times:
        os._exit(1)
    return f"{name} survived"


@flow
def with_one_worker(folder):
    """All that happens when a cluster loses its only worker, and gets another one."""
    gate = Path(folder) / "gate"
    early = counted.submit(folder, "early")
    early.wait()
    wait_until_recorded(1)
    doomed = ends_its_worker.submit(folder, "doomed", gate)
    # Tasks that ask for resources go to a worker at once, where they queue.
    with needs(num_cpus=1):
        innocent = [counted.submit(folder, f"innocent-{number}") for number in range(5)]
    time.sleep(0.5)  # on their way to the worker
    gate.touch()
    downstream = counted.submit(folder, "downstream", wait_for=[early])
    of_doomed = counted.submit(folder, "of-doomed", wait_for=[doomed])
    with pytest.raises(CrashedRun) as lost:
        doomed.result()
    get_run_logger().info("The flow saw: %s", lost.value)
    assert [future.result() for future in innocent] == [f"innocent-{number} done" for number in range(5)]
    assert early.result() == "early done"
    assert downstream.result() == "downstream done"
    of_doomed.wait()
    assert of_doomed.state.name == "NotReady"


@flow(task_runner=ClusterTaskRunner())
def by_the_tasks_retries(folder):
    return ends_its_worker.with_options(retries=2).submit(folder, "by-task", folder, times=1).result()


@flow(task_runner=ClusterTaskRunner(lost_task_retries=1))
def by_the_runners_option(folder):
    return ends_its_worker.with_options(retries=5).submit(folder, "by-runner", folder).result()


@flow
def with_two_workers(folder):
    wait([counted.submit(folder, f"other-{number}") for number in range(8)])
    wait_until_recorded(8)
    assert by_the_tasks_retries(folder) == "by-task survived"
    by_the_runners_option(folder)


@task
def talks(number):
    for line in range(50):
        get_run_logger().info("line %d of task %d", line, number)


@flow
def talks_and_leaves():
    for number in range(10):
        talks.submit(number)
