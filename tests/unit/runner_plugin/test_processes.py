"""The driver's own process matters: children, PID 1, signals, what an import costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import psutil
import pytest
from prefect_server import eventually

from flowrun_api.contract import Activation, ClusterContract
from prefect_flowrun.coordinator import children
from prefect_flowrun.engines import packages


def cluster(**changes):
    values = {"name": "default", "engine": "Dask", "address": "tcp://127.0.0.1:1", "port": 1, "http_port": 2}
    return ClusterContract(**{**values, **changes})


@pytest.fixture
def child(monkeypatch):
    """Coordinators whose processes run the given Python code."""

    def use(code):
        command = [sys.executable, "-u", "-c", textwrap.dedent(code)]
        role = children._Role("scheduler", lambda _: (command, {}))
        monkeypatch.setattr(children, "_ROLES", {"Dask": role})

    return use


def test_a_coordinator_that_ends_unasked_is_told_at_once_with_its_name_and_exit_code(child, capfd):
    child("import sys; print('address in use'); sys.exit(7)")
    lost, told = [], threading.Event()
    running = children.Coordinators(on_lost=lambda message: (lost.append(message), told.set()))
    running.start([cluster()])
    assert told.wait(60)
    assert lost == ["The Dask scheduler of cluster 'default' ended unasked (exit code 7)"]
    assert running.check() == lost[0]
    said = []  # by a thread that reads what the process prints
    last_words = "[scheduler default] address in use\n"
    eventually(lambda: said.append(capfd.readouterr().out), lambda _: last_words in "".join(said))
    assert last_words in "".join(said)


def test_stopping_is_not_a_loss_and_kills_what_does_not_listen(child):
    child("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(600)")
    lost = []
    running = children.Coordinators(on_lost=lost.append)
    running.start([cluster(), cluster(name="second")])
    time.sleep(0.5)
    processes = [child.process for child in running._children.values()]
    running.stop()
    running.stop()
    assert all(process.poll() is not None for process in processes)  # they would sleep on
    assert (lost, running.check()) == ([], None)


def test_a_cluster_on_demand_is_not_started_with_the_run(child):
    child("import sys; sys.exit(1)")
    lost = []
    running = children.Coordinators(on_lost=lost.append)
    running.start([cluster(activation=Activation.ON_DEMAND)])
    time.sleep(0.3)
    assert (lost, running.check()) == ([], None)


def test_an_engine_that_the_image_lacks_is_an_error_before_anything_starts(monkeypatch):
    monkeypatch.setitem(packages.PACKAGES, "Ray", "no_such_package_anywhere")
    on_demand = cluster(name="ray", engine="Ray", activation=Activation.ON_DEMAND)
    with pytest.raises(children.EngineMissingError, match=r"'ray' needs Ray, but .* 'no_such_package_anywhere'"):
        children.Coordinators(on_lost=print).start([cluster(), on_demand])


def test_a_coordinator_on_demand_can_be_started_and_stopped_again_and_again(child):
    child("import time; print('up'); time.sleep(60)")
    lost = []
    running = children.Coordinators(on_lost=lost.append)
    on_demand = cluster(activation=Activation.ON_DEMAND)
    pids = []
    for _ in range(2):
        running.start_one(on_demand)
        running.start_one(on_demand)
        process = running._children["default"].process
        pids.append(process.pid)
        running.stop_one("default")
        running.stop_one("default")
        assert process.poll() is not None
    assert len(set(pids)) == 2
    time.sleep(0.3)
    assert (lost, running.check()) == ([], None)


def run_split(code):
    script = "from prefect_flowrun import pid1\npid1.split_off_driver()\n" + textwrap.dedent(code)
    return subprocess.Popen([sys.executable, "-u", "-c", script], stdout=subprocess.PIPE, text=True)


def test_pid_1_ends_with_the_exit_code_of_the_driver():
    assert run_split("import sys; sys.exit(5)").wait(60) == 5
    assert run_split("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").wait(60) == 128 + 9


def test_pid_1_passes_sigterm_on_to_the_driver():
    process = run_split("""
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
        print("up")
        time.sleep(60)
    """)
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 4


def test_the_drivers_signal_handler_survives_the_split_from_pid_1():
    script = """
        import time
        from prefect_flowrun import pid1
        from prefect_flowrun.driver.shutdown import Shutdown, Terminated
        shutdown = Shutdown()
        shutdown.install_handler()
        pid1.split_off_driver()
        shutdown.start_watching()
        try:
            print("up", flush=True)
            time.sleep(60)
        except Terminated:
            raise SystemExit(3)
    """
    process = subprocess.Popen([sys.executable, "-u", "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 3


STUCK = """
    import os, sys, threading, time
    from prefect_flowrun.driver.shutdown import Shutdown
    shutdown = Shutdown()
    shutdown.install_handler()
    shutdown.start_watching()
    def force(cause):
        print(cause.reason, cause.message, flush=True)
        os._exit(6)
    shutdown.on_force(force)
    print("up", flush=True)
"""


def run_stuck(code):
    script = textwrap.dedent(STUCK) + textwrap.dedent(code)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def cpu_s(pid):
    used = psutil.Process(pid).cpu_times()
    return used.user + used.system


def test_sigterm_ends_a_process_whose_main_thread_runs_no_python_code():
    # One long call into C, during which no Python signal handler can run; it lets go of the interpreter's lock.
    process = run_stuck("import hashlib; hashlib.pbkdf2_hmac('sha256', b'x', b'y', 2_000_000_000)")
    assert process.stdout.readline() == "up\n"
    began = cpu_s(process.pid)
    assert eventually(lambda: cpu_s(process.pid) - began, lambda used: used > 0.5) > 0.5  # so it is in that call
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 6
    assert process.stdout.read().startswith("Terminated")


def test_a_request_from_inside_takes_the_same_road_and_keeps_its_reason():
    process = run_stuck("""
        from flowrun_api.contract import Reason
        try:
            threading.Timer(0.2, shutdown.request, args=(Reason.COORDINATOR_LOST, "gone")).start()
            time.sleep(60)
        except BaseException as error:
            print(type(error).__name__, flush=True)
        time.sleep(60)
    """)
    assert process.wait(60) == 6
    assert process.stdout.read().split("\n")[:3] == ["up", "Terminated", "CoordinatorLost gone"]


def test_sigterm_to_a_forked_child_of_the_flow_does_not_end_the_run():
    process = run_stuck("""
        import multiprocessing
        context = multiprocessing.get_context("fork")
        child = context.Process(target=time.sleep, args=(60,))
        child.start()
        time.sleep(0.3)
        child.terminate()
        child.join()
        time.sleep(2.5)
        print(child.exitcode, shutdown.cause, flush=True)
        os._exit(0)
    """)
    assert process.wait(60) == 0
    assert process.stdout.read().split("\n")[1] == "-15 None"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("prefect_flowrun", {"prefect", "pydantic", "distributed"}),
        ("prefect_flowrun.driver", {"prefect", "distributed", "httpx"}),
        ("prefect_flowrun.report_end", {"prefect", "pydantic", "distributed"}),
        ("prefect_flowrun.engines.base", {"prefect", "pydantic", "distributed"}),
        ("prefect_flowrun.engines.dask.scheduler_plugin", {"prefect", "pydantic"}),
        ("prefect_flowrun.engines.dask.entry", {"prefect", "pydantic"}),
        ("prefect_flowrun.engines.dask_worker", {"prefect", "pydantic"}),
        ("prefect_flowrun.engines.dask_http", {"prefect", "pydantic"}),
        ("prefect_flowrun.runner.task_runner", {"distributed", "dask"}),
        ("prefect_flowrun.runner.redirect", {"distributed", "dask", "prefect_dask"}),
    ],
)
def test_importing_a_module_does_not_import_what_it_must_not_wait_for(module, absent):
    script = f"import {module}, sys; print(*sorted(set(sys.modules) & {absent!r}))"
    env = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.strip() == ""
