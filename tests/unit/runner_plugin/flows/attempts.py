"""Flows that are cancelled, killed, and run again."""

import atexit
import hashlib
import sys
import time
from pathlib import Path

from prefect import flow, runtime, task

from prefect_flowrun import ClusterTaskRunner


def note(folder, name):
    with (Path(folder) / name).open("a") as file:
        file.write("x")


def wait_for(path):
    deadline = time.monotonic() + 120
    while not Path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.02)


@task(persist_result=True)
def step(folder, name):
    note(folder, name)
    return name


@task
def hold(folder, name):
    note(folder, name)
    wait_for(Path(folder) / "gate")
    return name


@flow
def holding_subflow(folder):
    hold.submit(folder, "held-below").result()


@flow
def two_steps_and_more(folder):
    """Two persisted tasks, then one that waits for the gate."""
    assert [step.submit(folder, name).result() for name in ("one", "two")] == ["one", "two"]
    assert hold.submit(folder, "held").result() == "held"
    return [step.submit(folder, name).result() for name in ("three",)]


@flow
def held_at_two_levels(folder):
    future = hold.submit(folder, "held")
    holding_subflow(folder)
    future.wait()


def hook_ran(flow, flow_run, state):
    note(flow_run.parameters["folder"], f"hook-{state.type.value}")


@flow(on_cancellation=[hook_ran], on_crashed=[hook_ran])
def held(folder):
    hold.submit(folder, "held").result()


@flow(on_cancellation=[hook_ran], on_crashed=[hook_ran])
def held_in_the_driver(folder):
    hold(folder, "held")


@flow(on_cancellation=[hook_ran], task_runner=ClusterTaskRunner())
def held_on_own_runner(folder):
    hold.submit(folder, "held").result()


@flow
def sleeps(folder):
    note(folder, "held")
    time.sleep(120)


@flow
async def held_async(folder):
    hold.submit(folder, "held").wait()


@flow
def in_c_code(folder):
    note(folder, "held")
    # One long call, during which no Python signal handler can run; it lets go of the interpreter's lock.
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", 2_000_000_000)


@flow(retries=1)
def fails_twice(folder):
    note(folder, "held")
    if runtime.flow_run.run_count == 1:
        wait_for(Path(folder) / "gate")
    if (Path(folder) / "held").stat().st_size < 3:
        raise ValueError("not yet")


@flow
def waits_for_the_gate(folder):
    note(folder, "held")
    wait_for(Path(folder) / "gate")
    note(folder, "ended")


@flow
def waits_for_the_gate_and_fails(folder):
    note(folder, "held")
    wait_for(Path(folder) / "gate")
    raise ValueError("this flow fails")


@flow(retries=1)
def waits_for_the_gate_and_fails_again(folder):
    note(folder, "held")
    wait_for(Path(folder) / "gate")
    raise ValueError("this flow fails")


@flow
async def waits_for_the_gate_async(folder):
    note(folder, "held")
    wait_for(Path(folder) / "gate")


@task
def registers_an_exit_handler(folder):
    atexit.register(note, folder, "worker-left")


@flow
def registers_exit_handlers(folder):
    atexit.register(time.sleep, 600)  # the last one to run
    atexit.register(sys.exit, "a handler that fails keeps nobody here")
    atexit.register(note, folder, "driver-left")
    registers_an_exit_handler.submit(folder).result()
