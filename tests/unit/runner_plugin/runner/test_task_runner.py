"""The runner itself, with threads in place of a cluster where no cluster is needed."""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import cloudpickle
import pytest
from prefect import flow, task, unmapped
from prefect.context import FlowRunContext
from prefect.exceptions import CrashedRun, TerminationSignal
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner
from prefect_server import PrefectServer, eventually
from stand_in import StandInEngine, until

from flowrun_api.contract import ClusterContract
from prefect_flowrun import ClusterTaskRunner, needs
from prefect_flowrun.runner import connections, standalone_cluster
from prefect_flowrun.runner.options import StandsFor
from prefect_flowrun.runner.placement import UnknownClusterError
from prefect_flowrun.runner.progress import Progress
from prefect_flowrun.wire import versions

CLUSTER = {"name": "default", "engine": "Dask", "address": "tcp://127.0.0.1:1", "port": 1, "httpPort": 2}


@pytest.fixture
def runner_log(caplog):
    """What the runner logs, for the run and for itself. Prefect's set-up, once per process, keeps it from the root."""
    loggers = [logging.getLogger(name) for name in ("prefect.task_runner.cluster", "prefect.flow_runs")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(caplog.handler)
        logger.setLevel(logging.INFO)
    yield caplog
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(caplog.handler)
        logger.setLevel(level)


@pytest.fixture
def engine(monkeypatch, prefect_server, tmp_path):
    """A run with one cluster, which is a thread of this process."""
    engine = StandInEngine(tmp_path / "gate")
    connection = connections.Connection("default", engine)
    monkeypatch.setenv("FLOWRUN_NAME", "x")
    monkeypatch.setenv("FLOWRUN_CLUSTERS", json.dumps([CLUSTER]))
    monkeypatch.delenv("FLOWRUN_ENGINE", raising=False)
    monkeypatch.setattr(connections, "acquire_cluster", lambda *_: connection)
    monkeypatch.setattr(connections, "release", lambda *_: None)
    with temporary_settings({PREFECT_API_URL: prefect_server.url}):
        yield engine


@task
def add(left, right):
    return left + right


@task
def held(path):
    deadline = time.monotonic() + 120
    while not Path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.02)


@task
def size(value):
    return len(value)


@task
def where():
    return os.getpid(), threading.current_thread() is threading.main_thread()


def test_a_duplicate_is_equal_and_another_cluster_is_not():
    runner = ClusterTaskRunner("gpu")
    assert runner.duplicate() == runner
    assert runner.duplicate() is not runner
    assert runner != ClusterTaskRunner()
    assert runner != ThreadPoolTaskRunner()


def test_it_travels_with_its_settings_and_without_what_belongs_to_the_process():
    runner = ClusterTaskRunner("gpu")
    runner.stands_for = StandsFor(client_kwargs=(("security", threading.Lock()),))

    arrived = pickle.loads(cloudpickle.dumps(runner))

    assert arrived == runner
    assert arrived.stands_for == StandsFor()
    assert not arrived.in_use


def test_entering_and_leaving_without_a_submit_connects_to_nothing(monkeypatch):
    monkeypatch.setenv("FLOWRUN_CLUSTERS", json.dumps([CLUSTER]))
    monkeypatch.setattr(connections, "acquire_cluster", lambda *_: pytest.fail("connected"))
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
            held.submit(gate)

    forgetful()
    assert engine.calls == ["wait 3", "drain"]


def test_a_failed_flow_cancels_what_it_left(engine):
    gate = engine.gate

    @flow(task_runner=ClusterTaskRunner())
    def failing():
        for _ in range(3):
            held.submit(gate)
        raise ValueError

    failing(return_state=True)
    assert engine.calls == ["cancel 3", "drain"]


def test_what_ends_the_process_cancels_and_does_not_stop_to_drain(engine):
    with pytest.raises(TerminationSignal), ClusterTaskRunner() as runner:
        runner.submit(held, {"path": engine.gate})
        runner.submit(held, {"path": engine.gate})
        raise TerminationSignal(signal=signal.SIGTERM)
    assert engine.calls == ["cancel 2"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, None])
def test_a_standalone_cluster_is_given_back_however_a_cell_of_a_notebook_ends(engine, monkeypatch, error):
    connection, released = connections.acquire_cluster(), []
    connection.cluster = ClusterContract.model_validate({**CLUSTER, "name": f"{standalone_cluster.PREFIX}mine"})
    monkeypatch.setattr(connections, "release", released.append)
    with pytest.raises(error) if error else contextlib.nullcontext(), ClusterTaskRunner() as runner:
        runner.submit(held, {"path": engine.gate})
        if error:
            raise error
    assert engine.calls == ["cancel 1" if error else "wait 1", "drain"]
    assert released == [connection]


def test_the_next_try_of_a_flow_does_not_wait_for_the_tasks_of_the_one_that_failed(engine, tmp_path):
    gate, again = engine.gate, tmp_path / "again"

    @flow(task_runner=ClusterTaskRunner(), retries=1)
    def second_time_lucky():
        if not again.exists():
            again.touch()
            held.submit(gate)
            raise ValueError
        return add.submit(1, 2).result()

    assert second_time_lucky() == 3
    assert engine.calls[:2] == ["cancel 1", "drain"]


def test_cancel_all_on_the_original_reaches_the_duplicate_that_runs(engine):
    original = ClusterTaskRunner()
    with original.duplicate() as runner:
        futures = [runner.submit(held, {"path": engine.gate}) for _ in range(3)]
        original.cancel_all()
        futures[-1].wait(timeout=60)
    assert "cancel 3" in engine.calls
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


def test_a_lock_in_a_module_keeps_no_task_from_travelling(engine, tmp_path, monkeypatch):
    (tmp_path / "locked.py").write_text(
        "import threading\nLOCK = threading.Lock()\n\ndef double(x):\n    with LOCK:\n        return 2 * x\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
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


def test_a_parameter_that_cannot_be_pickled_is_an_error_in_the_flow(engine):
    with ClusterTaskRunner() as runner, pytest.raises(TypeError, match="lock"):
        runner.submit(add, {"left": threading.Lock(), "right": 1})


def test_a_clean_end_waits_no_longer_than_it_may(engine, runner_log):
    engine.wait = lambda futures, timeout: len(futures)

    @flow(task_runner=ClusterTaskRunner(exit_timeout_s=0.1))
    def forgetful(gate):
        held.submit(gate)

    forgetful(engine.gate)
    assert engine.calls == ["cancel 1", "drain"]
    assert "1 task run(s) did not end within 0.1 s (exit_timeout_s)" in runner_log.text


def test_a_flow_whose_tasks_have_ended_waits_for_nothing(engine):
    @flow(task_runner=ClusterTaskRunner())
    def tidy():
        return add.submit(1, 2).result()

    assert tidy() == 3
    assert engine.calls == ["drain"]


URLS = []


def wait_until_prefect_knows_a_task_run():
    """Of the flow around; not a closure, since tasks are pickled with their flow and what it captures."""
    until(lambda: PrefectServer(URLS[-1]).task_runs(str(FlowRunContext.get().flow_run.id)))


@flow(task_runner=ClusterTaskRunner())
def fails_while_a_task_runs(gate):
    held.submit(gate)
    held.submit(gate)
    wait_until_prefect_knows_a_task_run()
    raise ValueError


def test_a_cancelled_task_run_is_not_left_running_in_prefect(engine, prefect_server, monkeypatch, tmp_path):
    URLS.append(prefect_server.url)
    # What the engine gives up goes on: a task can't be interrupted.
    monkeypatch.setattr(engine, "gate", None)
    state = fails_while_a_task_runs(tmp_path / "opened", return_state=True)
    [run] = prefect_server.final_task_runs(str(state.state_details.flow_run_id), expected=1)
    # The one that never began is not there: Prefect has never heard of it.
    assert (run["state_type"], run["state"]["message"]) == ("CANCELLED", "The flow run ended before this task run did")
    (tmp_path / "opened").touch()


@task
def begins(began, gate):
    began.touch()
    held.fn(gate)


@flow(task_runner=ClusterTaskRunner())
def fails_as_soon_as_a_task_has_begun(began, gate):
    begins.submit(began, gate)
    until(began.exists)
    raise ValueError


def test_F24_a_cancelled_task_run_does_not_stay_running_though_prefect_had_not_heard_of_it(
    engine, prefect_server, monkeypatch, tmp_path
):
    monkeypatch.setattr(engine, "gate", None)
    state = fails_as_soon_as_a_task_has_begun(tmp_path / "began", tmp_path / "opened", return_state=True)
    [run] = prefect_server.final_task_runs(str(state.state_details.flow_run_id), expected=1)
    assert (run["state_type"], run["name"].split("-")[0]) == ("CANCELLED", "begins")
    (tmp_path / "opened").touch()


def test_a_task_that_the_cluster_could_not_run_is_crashed_in_the_flow_and_in_prefect(engine, prefect_server):
    engine.lose = RuntimeError("no such worker")
    runner = ClusterTaskRunner()

    @flow(task_runner=runner)
    def losing():
        future = add.submit(1, 2)
        with pytest.raises(CrashedRun, match="lost: no such worker"):
            future.result()
        until(lambda: runner.progress.ended)
        return str(FlowRunContext.get().flow_run.id)

    flow_run_id = losing()
    [run] = prefect_server.final_task_runs(flow_run_id, expected=1)
    assert (run["state_type"], run["state"]["message"]) == ("CRASHED", "lost: no such worker")
    assert run["name"].startswith("add-")
    assert runner.progress == Progress(submitted=1, ended=1, lost=1)
    told = "lost: no such worker"  # in the log of the task run
    assert told in eventually(lambda: prefect_server.logs(flow_run_id), lambda lines: told in lines)


def test_the_progress_of_the_runner_that_the_user_holds_counts_all_its_flows(engine):
    runner = ClusterTaskRunner()

    @flow(task_runner=runner)
    def counting():
        futures = add.map([1, 2, 3], 1)
        during = runner.progress.submitted
        futures.wait()
        return during

    assert [counting(), counting()] == [3, 6]
    assert until(lambda: runner.progress.outstanding == 0)
    assert runner.progress == Progress(submitted=6, ended=6)
    assert ClusterTaskRunner().progress == Progress()


def test_cancelled_tasks_are_not_outstanding(engine):
    runner = ClusterTaskRunner()

    @flow(task_runner=runner)
    def failing(gate):
        held.map([gate] * 3)
        raise ValueError

    failing(engine.gate, return_state=True)
    assert runner.progress == Progress(submitted=3, ended=3)


def test_needs_reach_the_engine(engine):
    with ClusterTaskRunner() as runner:
        runner.submit(add, {"left": 1, "right": 2})
        with needs(num_cpus=2, resources={"GPU": 1}):
            runner.submit(add, {"left": 1, "right": 2})
    assert [call.needs for call in engine.submitted] == [None, needs(num_cpus=2, resources={"GPU": 1})]


def test_a_key_is_unique_and_names_the_task(engine):
    with ClusterTaskRunner() as runner:
        futures = [runner.submit(add, {"left": 1, "right": 2}) for _ in range(2)]
    assert [call.key for call in engine.submitted] == [f"add-{future.task_run_id}" for future in futures]
    assert futures[0].task_run_id != futures[1].task_run_id


def test_what_is_unmapped_is_serialised_once_and_reaches_the_cluster_once(engine):
    class Rows(list):
        pickled = 0

        def __reduce__(self):
            Rows.pickled += 1
            return (bytes, (b"r" * 100_000,))

    @flow(task_runner=ClusterTaskRunner())
    def mapping():
        @task
        def read(number, rows):
            return number + len(rows)

        return read.map([1, 2, 3, 4, 5], unmapped(Rows())).result()

    assert mapping() == [100_001, 100_002, 100_003, 100_004, 100_005]
    # With the call, which shows that it is large, and by itself.
    assert Rows.pickled == 2


def test_the_first_task_waits_for_so_many_workers(engine):
    engine.workers = {"worker-0": {}, "worker-1": {}}
    with ClusterTaskRunner(min_workers=2) as runner:
        assert runner.submit(add, {"left": 1, "right": 2}).result() == 3
        runner.submit(add, {"left": 1, "right": 2}).result()
    assert engine.calls == ["wait for 2 worker(s)", "drain"]


def test_too_few_workers_in_time_is_an_error(engine):
    with (
        ClusterTaskRunner(min_workers=2, connect_timeout_s=7) as runner,
        pytest.raises(TimeoutError, match=r"Only 1 of 2 workers \(min_workers\) joined within 7 s"),
    ):
        runner.submit(add, {"left": 1, "right": 2})
    assert engine.submitted == []


def test_workers_that_are_there_and_do_not_fit_are_refused_before_the_first_task(engine):
    engine.workers = {"worker-0": {"python": "2.7.18"}}
    with (
        ClusterTaskRunner(min_workers=1) as runner,
        pytest.raises(versions.VersionMismatchError, match=r"worker-0.*2\.7\.18 on the worker"),
    ):
        runner.submit(add, {"left": 1, "right": 2})
    assert engine.submitted == []


@pytest.mark.parametrize("engine_name", ["threads", "sequential"])
@pytest.mark.parametrize("by", ["option", "environment"])
def test_tasks_may_stay_in_the_process(prefect_server, monkeypatch, engine_name, by):
    monkeypatch.setenv("FLOWRUN_CLUSTERS", json.dumps([CLUSTER]))
    monkeypatch.setattr(connections, "acquire_cluster", lambda *_: pytest.fail("connected"))
    if by == "environment":
        monkeypatch.setenv("FLOWRUN_ENGINE", engine_name)
    runner = ClusterTaskRunner("default", engine=engine_name if by == "option" else "dask")

    @flow(task_runner=runner)
    def local():
        return where.submit().result()

    with temporary_settings({PREFECT_API_URL: prefect_server.url}):
        assert local() == (os.getpid(), engine_name == "sequential")


def test_a_prefect_that_was_not_tested_is_told(engine, monkeypatch, runner_log):
    monkeypatch.setattr("prefect.__version__", "9.9.9")
    with ClusterTaskRunner() as runner:
        runner.submit(add, {"left": 1, "right": 2}).wait()
    assert "Prefect 9.9.9 is outside the range" in runner_log.text


def test_the_same_file_runs_on_a_local_dask_cluster_on_a_laptop_without_any_server(tmp_path):
    (tmp_path / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "script.py").write_text(
        textwrap.dedent("""
            import os
            from pathlib import Path
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
                return {pid for pid, _, _ in results}

            if __name__ == "__main__":
                pids = outer()
                for pid in pids:
                    assert not Path(f"/proc/{pid}").exists(), "a worker is left"
        """)
    )
    env = {key: value for key, value in os.environ.items() if not key.startswith(("FLOWRUN_", "PREFECT_"))}
    env |= {
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Not in a FlowRun" in done.stdout + done.stderr
