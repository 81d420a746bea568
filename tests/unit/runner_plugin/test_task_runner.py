"""The runner itself, with threads in place of a cluster where no cluster is needed."""

from __future__ import annotations

import concurrent.futures
import contextvars
import importlib
import json
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import cloudpickle
import pytest
from prefect import flow, task
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner

from prefect_flowrun import ClusterTaskRunner, connections, task_runner
from prefect_flowrun.code import FlowModules
from prefect_flowrun.task_runner import UnknownClusterError

CLUSTER = {"name": "default", "engine": "Dask", "address": "tcp://127.0.0.1:1", "port": 1, "httpPort": 2}


class ThreadEngine:
    """An engine in this process, that notes what it was asked."""

    name = "Threads"
    startup_failure = None

    def __init__(self, gate):
        self.gate = gate  # a file, since a task is pickled: made when the runner turns to what is outstanding
        self.pool = concurrent.futures.ThreadPoolExecutor(1)
        self.calls: list[str] = []

    def submit(self, key, function, payload, upstream):
        return self.pool.submit(lambda: function(payload, *[future.result() for future in upstream]))

    def wait(self, futures, timeout):
        self.gate.touch()
        self.calls.append(f"wait {len(futures)}")
        return len(concurrent.futures.wait(futures, timeout).not_done)

    def cancel(self, futures):
        self.gate.touch()
        self.calls.append("cancel")
        for future in futures:
            future.cancel()

    def drain(self, timeout):
        self.calls.append("drain")

    def is_timeout(self, error):
        return isinstance(error, TimeoutError)

    def describe_loss(self, error):
        return str(error)

    def close(self):
        self.calls.append("close")


@pytest.fixture
def engine(monkeypatch, prefect_server, tmp_path):
    engine = ThreadEngine(tmp_path / "gate")
    monkeypatch.setenv("FLOWRUN_NAME", "x")
    monkeypatch.setenv("FLOWRUN_CLUSTERS", json.dumps([CLUSTER]))
    monkeypatch.setattr(connections, "acquire_cluster", lambda cluster: engine)
    with temporary_settings({PREFECT_API_URL: prefect_server.url}):
        yield engine


@task
def add(left, right):
    return left + right


@task
def until(path):
    deadline = time.monotonic() + 10
    while not Path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_a_duplicate_is_equal_and_another_cluster_is_not():
    runner = ClusterTaskRunner("gpu")
    assert runner.duplicate() == runner
    assert runner.duplicate() is not runner
    assert runner != ClusterTaskRunner()
    assert runner != ThreadPoolTaskRunner()


def test_it_travels_as_a_stock_thread_pool_so_that_workers_connect_to_nothing():
    assert pickle.loads(cloudpickle.dumps(ClusterTaskRunner("gpu"))) == ThreadPoolTaskRunner()


def test_entering_and_leaving_without_a_submit_connects_to_nothing(monkeypatch):
    monkeypatch.setenv("FLOWRUN_CLUSTERS", json.dumps([CLUSTER]))
    monkeypatch.setattr(connections, "acquire_cluster", lambda cluster: pytest.fail("connected"))
    with ClusterTaskRunner():
        pass


def test_submitting_outside_a_flow_is_an_error():
    with pytest.raises(RuntimeError, match="must be started"):
        ClusterTaskRunner().submit(add, {})


def test_an_unknown_cluster_is_an_error_that_names_the_known_ones(engine):
    with ClusterTaskRunner("gpu") as runner, pytest.raises(UnknownClusterError, match=r"'gpu'.*'default'"):
        runner.submit(add, {"left": 1, "right": 1})


def test_a_clean_end_waits_for_what_the_flow_did_not_and_then_drains(engine):
    gate = engine.gate

    @flow(task_runner=ClusterTaskRunner())
    def forgetful():
        for _ in range(3):
            until.submit(gate)

    forgetful()
    assert engine.calls == ["wait 3", "drain"]


def test_a_failed_flow_cancels_what_it_left(engine):
    gate = engine.gate

    @flow(task_runner=ClusterTaskRunner())
    def failing():
        for _ in range(3):
            until.submit(gate)
        raise ValueError

    failing(return_state=True)
    assert engine.calls == ["cancel", "drain"]


def test_what_ends_the_process_cancels_and_does_not_stop_to_drain(engine):
    with pytest.raises(KeyboardInterrupt), ClusterTaskRunner() as runner:
        runner.submit(until, {"path": engine.gate})
        runner.submit(until, {"path": engine.gate})
        raise KeyboardInterrupt
    assert engine.calls == ["cancel"]


def test_cancel_all_on_the_original_reaches_the_duplicate_that_runs(engine):
    original = ClusterTaskRunner()
    with original.duplicate() as runner:
        futures = [runner.submit(until, {"path": engine.gate}) for _ in range(3)]
        original.cancel_all()
        futures[-1].wait(timeout=5)
    assert "cancel" in engine.calls
    assert futures[-1].state.is_crashed()


def test_threads_of_a_flow_may_submit_at_the_same_time(engine):
    with ClusterTaskRunner() as runner:
        futures = []

        def submit():
            futures.append(runner.submit(add, {"left": 1, "right": 1}))

        # With a copy of this thread's context, which holds the API's address.
        threads = [threading.Thread(target=contextvars.copy_context().run, args=(submit,)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [future.result() for future in futures] == [2] * 5


def test_modules_that_cannot_travel_by_value_go_by_reference_instead(engine, tmp_path, monkeypatch, caplog):
    (tmp_path / "locked.py").write_text(
        "import threading\nLOCK = threading.Lock()\n\ndef double(x):\n    with LOCK:\n        return 2 * x\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(task_runner, "_modules", FlowModules([tmp_path]))
    locked = importlib.import_module("locked")

    @task
    def use():
        return locked.double(3)

    # By module, as a function that is imported by name would travel.
    double = locked.double

    @task
    def use_name():
        return double(4)

    with ClusterTaskRunner() as runner:
        assert runner.submit(use, {}).result() == 6
        assert runner.submit(use_name, {}).result() == 8
    assert "must be installed on the workers" in caplog.text
    assert "locked" not in cloudpickle.list_registry_pickle_by_value()


def test_a_parameter_that_cannot_be_pickled_is_an_error_in_the_flow(engine):
    with ClusterTaskRunner() as runner, pytest.raises(TypeError, match="lock"):
        runner.submit(add, {"left": threading.Lock(), "right": 1})


def test_the_same_file_runs_on_a_local_dask_cluster_on_a_laptop_without_any_server(tmp_path):
    (tmp_path / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "script.py").write_text(
        textwrap.dedent("""
            import os
            import helper
            from prefect import flow, task
            from prefect.context import FlowRunContext
            from prefect.settings import PREFECT_API_URL
            from prefect_flowrun import ClusterTaskRunner

            @task
            def work(x):
                return os.getpid(), helper.double(x), PREFECT_API_URL.value()

            @flow(task_runner=ClusterTaskRunner())
            def inner():
                return work.submit(1).result()

            @flow(task_runner=ClusterTaskRunner())
            def outer():
                results = [future.result() for future in work.map([1, 2, 3])] + [inner()]
                assert [value for _, value, _ in results] == [2, 4, 6, 2], results
                assert os.getpid() not in {pid for pid, _, _ in results}
                # One server for all, though none was configured.
                assert {url for _, _, url in results} == {str(FlowRunContext.get().client.api_url)}

            if __name__ == "__main__":
                outer()
                from prefect_flowrun import connections
                assert not connections._connections
        """)
    )
    env = {key: value for key, value in os.environ.items() if not key.startswith(("FLOWRUN_", "PREFECT_"))}
    env |= {"PREFECT_HOME": str(tmp_path / "home"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Not in a FlowRun" in done.stdout + done.stderr
