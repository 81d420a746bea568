"""The Ray engine on a real Ray of this machine.

Most tests run a function of their own on the workers in place of Prefect's task engine; the last ones run flows.
Functions for the workers are defined inside the tests: they travel by value.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import ray
from prefect_server import PrefectServer, eventually
from ray import exceptions as errors

from flowrun_api.contract import ClusterContract
from prefect_flowrun.engines.base import Call
from prefect_flowrun.engines.needs import Needs
from prefect_flowrun.engines.ray.engine import RayEngine
from prefect_flowrun.engines.ray.entry import End
from prefect_flowrun.engines.ray.pending_tasks import NoNodeError

PATIENCE_S = 60
MakeEngine = Callable[..., RayEngine]


@pytest.fixture(scope="module", autouse=True)
def local_ray(prefect_api: PrefectServer) -> Iterator[None]:
    """Ray allows one per process: other tests may have started it."""
    started = not ray.is_initialized()
    if started:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    if started:
        ray.shutdown()


@pytest.fixture
def make_engine() -> Iterator[MakeEngine]:
    engines = []

    def make(entry: Callable[..., Any], patience_s: float = PATIENCE_S) -> RayEngine:
        engine = RayEngine(patience_s=patience_s, owned=False, run_task=lambda *args: (entry(*args), End("node")))
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.close()


def call(payload: Any = b"", **options: Any) -> Call:
    return Call(f"test-{uuid4()}", payload, **options)


def wait_for(path: Path) -> None:
    eventually(path.exists, bool)
    assert path.exists()


def test_outcome_comes_back(make_engine: MakeEngine) -> None:
    engine = make_engine(lambda payload, _: payload.upper())

    future = engine.submit(call(b"abc"))

    assert future.wait(PATIENCE_S)
    assert future.done()
    assert future.failure() is None
    assert future.result() == b"ABC"


def test_upstream_outcomes_arrive_in_their_order_whenever_they_ended(make_engine: MakeEngine) -> None:
    def entry(payload: float, _: Any, *states: Any) -> Any:
        time.sleep(payload)
        return [payload, *states]

    engine = make_engine(entry)
    late, early = engine.submit(call(0.5)), engine.submit(call(0.0))

    future = engine.submit(call(0.1, upstream=[late, early]))

    assert future.result() == [0.1, [0.5], [0.0]]


def test_parcels_stay_where_they_are_until_opened(make_engine: MakeEngine) -> None:
    def entry(payload: int, parcels: Any) -> Any:
        return [type(parcel).__name__ for parcel in parcels], ray.get(parcels[payload])

    engine = make_engine(entry)
    parcels = [engine.put(b"first"), engine.put(b"second" * 100_000)]

    future = engine.submit(call(1, parcels=parcels))

    assert future.result() == (["ObjectRef", "ObjectRef"], b"second" * 100_000)


def test_waiting_does_not_fetch_the_outcome(make_engine: MakeEngine, tmp_path: Path) -> None:
    def entry(payload: Any, _: Any) -> Any:
        class Outcome:
            def __reduce__(self) -> Any:
                return payload.touch, ()

        return Outcome()

    engine = make_engine(entry)
    called = threading.Event()

    future = engine.submit(call(tmp_path / "unpickled"))
    future.add_done_callback(called.set)

    assert engine.wait([future], PATIENCE_S) == 0
    assert called.wait(PATIENCE_S)
    assert future.failure() is None
    assert not (tmp_path / "unpickled").exists()
    future.result()
    assert (tmp_path / "unpickled").exists()


def test_wait_says_how_many_have_not_ended(make_engine: MakeEngine, tmp_path: Path) -> None:
    engine = make_engine(lambda payload, _: wait_until(payload))
    wait_until = _waiting()
    quick, slow = engine.submit(call(None)), engine.submit(call(tmp_path / "gate"))

    assert quick.wait(PATIENCE_S)
    assert engine.wait([quick, slow], 0.01) == 1
    assert not slow.wait(0.01)

    (tmp_path / "gate").touch()
    assert engine.wait([quick, slow], PATIENCE_S) == 0


def test_callback_may_wait_for_other_tasks(make_engine: MakeEngine, tmp_path: Path) -> None:
    """Ray's own thread, in which it tells that a task has ended, is the one that learns of the others' ends."""
    wait_until = _waiting()
    engine = make_engine(lambda payload, _: wait_until(payload))
    first, second = engine.submit(call(None)), engine.submit(call(tmp_path / "gate"))
    results: list[Any] = []

    def callback() -> None:
        (tmp_path / "gate").touch()
        results.append(second.wait(PATIENCE_S) and second.result())

    first.add_done_callback(callback)

    assert eventually(lambda: list(results), bool) == [str(tmp_path / "gate")]


def test_callback_is_called_at_once_if_the_task_has_ended(make_engine: MakeEngine) -> None:
    engine = make_engine(lambda *_: None)
    future = engine.submit(call())
    assert future.wait(PATIENCE_S)
    called = threading.Event()

    future.add_done_callback(lambda: 1 / 0)  # and one that fails does not harm the next
    future.add_done_callback(called.set)

    assert called.wait(PATIENCE_S)


def test_task_of_a_lost_process_starts_again_and_knows_it(make_engine: MakeEngine) -> None:
    def entry(*_: Any) -> int:
        from prefect_flowrun.engines.ray.entry import RayStart

        if RayStart().number < 3:
            os._exit(1)
        return RayStart().number

    engine = make_engine(entry)

    future = engine.submit(call())

    assert future.wait(PATIENCE_S)
    assert future.failure() is None
    assert future.result() == 3


def test_cancelled_tasks_do_not_start_and_running_ones_are_left_alone(make_engine: MakeEngine, tmp_path: Path) -> None:
    wait_until = _waiting()

    def entry(payload: Any, *_: Any) -> Any:
        from prefect_flowrun.engines.ray.entry import _prepare_process

        _prepare_process()
        (tmp_path / f"started-{payload}").touch()
        return wait_until(tmp_path / "gate")

    engine = make_engine(entry)
    cpus = int(ray.cluster_resources()["CPU"])
    running = [engine.submit(call(number)) for number in range(cpus)]
    for number in range(cpus):
        wait_for(tmp_path / f"started-{number}")
    queued = [engine.submit(call(cpus + number)) for number in range(300)]
    queued.append(engine.submit(call(-1, upstream=running[:1])))

    engine.cancel([*running, *queued])

    assert engine.wait(queued, PATIENCE_S) == 0
    assert {type(future.failure()) for future in queued} == {errors.TaskCancelledError}
    assert engine.wait(running, 0.01) == cpus
    (tmp_path / "gate").touch()
    assert engine.wait(running, PATIENCE_S) == 0
    assert sorted(path.name for path in tmp_path.glob("started-*")) == sorted(f"started-{n}" for n in range(cpus))


def test_outcome_that_cannot_travel_is_a_failure(make_engine: MakeEngine) -> None:
    engine = make_engine(lambda *_: threading.Lock())

    future = engine.submit(call())

    assert future.wait(PATIENCE_S)
    failure = future.failure()
    assert isinstance(failure, errors.RayTaskError)
    assert "cannot pickle '_thread.lock' object" in engine.describe_loss(failure)


def test_task_that_no_worker_could_take_fails_and_says_what_it_needs(make_engine: MakeEngine) -> None:
    engine = make_engine(lambda *_: "done", patience_s=0.5)
    assert engine.submit(call()).result() == "done"
    assert engine.startup_failure is None

    future = engine.submit(call(needs=Needs(2, {"crane": 1})))
    downstream = engine.submit(call(upstream=[future]))

    assert engine.wait([future, downstream], PATIENCE_S) == 0
    failure = future.failure()
    assert isinstance(failure, NoNodeError)
    assert engine.describe_loss(failure) == engine.startup_failure
    assert "within 0.5 s: it needs CPU 2, crane 1, and the workers offer CPU" in str(engine.startup_failure)
    loss = downstream.failure()
    assert loss is not None
    assert engine.describe_loss(loss).startswith("A task that it depends on has no result.")


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (None, {"CPU": 1.0}),
        (Needs(0.5), {"CPU": 0.5}),
        (Needs(2), {"CPU": 2.0}),
        (Needs(0), {}),
        (Needs(resources={"CPU": 2}), {"CPU": 2.0}),
    ],
)
def test_needs_are_taken_from_the_node(make_engine: MakeEngine, needs: Needs | None, expected: dict[str, Any]) -> None:
    engine = make_engine(lambda *_: ray.get_runtime_context().get_assigned_resources())

    assert engine.submit(call(needs=needs)).result() == expected


def test_a_kind_of_accelerator_that_no_worker_has_is_named(make_engine: MakeEngine) -> None:
    engine = make_engine(lambda *_: "done", patience_s=0.5)
    future = engine.submit(call(needs=Needs(ray={"accelerator_type": "A100"})))
    assert future.wait(PATIENCE_S)
    assert "it needs CPU 1, accelerator_type:A100 0.001, and the workers offer CPU" in str(engine.startup_failure)


def test_a_tasks_own_runtime_environment_has_variables_and_folders_of_this_machine(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "rates.txt").write_text("1.07")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("NAME = 'sent'")

    def entry(*_: Any) -> Any:
        package = importlib.import_module("package")
        return os.environ.get("CURRENCY"), Path("rates.txt").read_text(), package.NAME

    environment = {
        "env_vars": {"CURRENCY": "EUR"},
        "working_dir": str(tmp_path / "folder"),
        "py_modules": [str(tmp_path / "package")],
    }
    engine = make_engine(entry)
    asked = Needs(ray={"runtime_env": environment})

    assert engine.submit(call(needs=asked)).result() == ("EUR", "1.07", "sent")


def test_a_folder_that_is_not_there_is_an_error_at_the_submit(make_engine: MakeEngine) -> None:
    engine = make_engine(lambda *_: "done")
    with pytest.raises(ValueError, match="/nowhere"):
        engine.submit(call(needs=Needs(ray={"runtime_env": {"working_dir": "/nowhere"}})))


def test_a_process_ends_after_as_many_tasks_as_are_asked_for(make_engine: MakeEngine) -> None:
    engine = make_engine(lambda *_: os.getpid())
    once = Needs(ray={"max_calls": 1})
    processes = [engine.submit(call(needs=once)).result() for _ in range(2)]
    assert len(set(processes)) == 2


def test_an_option_that_ray_does_not_know_is_an_error_at_the_submit(make_engine: MakeEngine) -> None:
    engine = make_engine(lambda *_: "done")
    with pytest.raises(ValueError, match="nonsense"):
        engine.submit(call(needs=Needs(ray={"nonsense": 1})))


def test_closed_engine_leaves_a_ray_that_it_has_not_started(make_engine: MakeEngine) -> None:
    engine = make_engine(lambda *_: "done")
    future = engine.submit(call())
    assert future.wait(PATIENCE_S)

    engine.close()
    engine.close()

    assert ray.is_initialized()
    for use in (future.result, lambda: engine.submit(call()), lambda: engine.put(b"")):
        with pytest.raises(ConnectionError, match="was left"):
            use()


def _task_error(cause: Exception) -> errors.RayTaskError:
    return errors.RayTaskError("run_task", "a long traceback", cause)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.WorkerCrashedError(), "process that ran the task died"),
        (errors.NodeDiedError("10.0.0.7"), "worker that ran the task was lost"),
        (errors.OutOfMemoryError("10.0.0.7"), "out of memory"),
        (errors.TaskCancelledError(), "was cancelled"),
        (errors.ObjectLostError("ab" * 28, "", ""), "held the task's result was lost"),
        (errors.OwnerDiedError("ab" * 28, "", ""), "held the task's data was lost"),
        (_task_error(ModuleNotFoundError("No module named 'shop'")), "ModuleNotFoundError: No module named 'shop'"),
        (_task_error(errors.NodeDiedError("10.0.0.7")), "depends on has no result. The Ray worker that ran"),
        (_task_error(_task_error(errors.WorkerCrashedError())), "depends on has no result"),
        (NoNodeError("no worker"), "no worker"),
        (ValueError("what?"), "ValueError: what?"),
    ],
)
def test_losses_are_said_in_words(make_engine: MakeEngine, error: Exception, said: str) -> None:
    message = make_engine(lambda *_: None).describe_loss(error)

    assert said in message
    assert "traceback" not in message


def test_every_node_tells_its_versions(make_engine: MakeEngine) -> None:
    versions = make_engine(lambda *_: None).versions(PATIENCE_S)

    assert [found["ray"] for found in versions.values()] == [ray.__version__]


def test_workers_are_counted() -> None:
    engine = RayEngine.start_local()
    cpus = int(ray.cluster_resources()["CPU"])

    assert engine.wait_for_workers(cpus, PATIENCE_S) == cpus
    assert engine.wait_for_workers(cpus + 1, 0.05) == cpus
    engine.close()
    assert ray.is_initialized(), "it was there before the engine"


def test_second_ray_cluster_of_a_process_is_refused() -> None:
    other = ClusterContract(name="other", engine="Ray", address="127.0.0.1:1", port=1, http_port=2)

    with pytest.raises(RuntimeError, match=r"Ray allows one at a time: cluster 'other' can be used when"):
        RayEngine.connect(other)


_OWN_RAY = """
import os, signal, time
from flowrun_api.contract import ClusterContract
from prefect_flowrun.engines.base import Call
from prefect_flowrun.engines.ray.engine import RayEngine, ray

absent = ClusterContract(
    name="absent", engine="Ray", address="127.0.0.1:1", port=1, http_port=2, startup_timeout_seconds=1
)
try:
    RayEngine.connect(absent)
except TimeoutError as error:
    print(error)
signal.signal(signal.SIGTERM, lambda *_: print("my own handler"))
engine = RayEngine.start_local()
os.kill(os.getpid(), signal.SIGTERM)
never = RayEngine(patience_s=60, owned=True, run_task=lambda *_: time.sleep(3600)).submit(Call("never" + 37 * "-", b""))
never._engine.close()
print("ended" if never.wait(60) else "waits for ever", never.failure())
engine.close()
print("left" if not ray.is_initialized() else "still there")
"""


def test_own_ray_is_stopped_and_nobody_waits_for_it_or_loses_a_signal() -> None:
    ended = subprocess.run([sys.executable, "-c", _OWN_RAY], capture_output=True, text=True, timeout=120, check=False)

    assert ended.stdout.splitlines() == [
        "The Ray head of cluster 'absent' at 127.0.0.1:1 was not ready within 1 s",
        "my own handler",
        "ended The Ray cluster was left before the task had ended",
        "left",
    ], ended.stderr


def test_lost_task_is_not_run_again_unasked(prefect_api: PrefectServer, tmp_path: Path) -> None:
    from prefect import flow, task

    from prefect_flowrun import ClusterTaskRunner

    @task
    def die(name: str) -> None:
        with (tmp_path / name).open("a") as runs:
            runs.write("x")
        os.kill(os.getpid(), signal.SIGKILL)

    @flow(task_runner=ClusterTaskRunner(engine="ray"))
    def deadly() -> list[Any]:
        futures = [die.submit("once"), die.with_options(retries=1).submit("twice")]
        for future in futures:
            future.wait()
        return [(future.state.name, future.state.message) for future in futures]

    once, twice = deadly()

    assert once[0] == twice[0] == "Crashed"
    assert "worker was lost while it ran (once, 0 re-runs allowed)" in once[1]
    assert "worker was lost while it ran (2 times, 1 re-runs allowed)" in twice[1]
    assert (tmp_path / "once").read_text() == "x"
    assert (tmp_path / "twice").read_text() == "xx"


def test_no_log_line_is_lost_when_a_flow_ends(prefect_api: PrefectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect import flow, get_run_logger, task
    from prefect.runtime import flow_run
    from prefect.settings import PREFECT_LOGGING_TO_API_BATCH_INTERVAL, temporary_settings

    from prefect_flowrun import ClusterTaskRunner

    @task
    def talk(number: int) -> None:
        for line in range(25):
            get_run_logger().info("line %d of task %d", line, number)

    @flow(task_runner=ClusterTaskRunner(engine="ray"))
    def talkative() -> str:
        talk.map(range(20)).wait()
        return str(flow_run.id)

    # Longer than the test: no line is sent unless somebody asks for it.
    monkeypatch.setenv("PREFECT_LOGGING_TO_API_BATCH_INTERVAL", "300")
    with temporary_settings({PREFECT_LOGGING_TO_API_BATCH_INTERVAL: 300}):
        flow_run_id = talkative()

    lines = eventually(
        lambda: {entry for entry in prefect_api.logs(flow_run_id) if entry.startswith("line ")},
        lambda found: len(found) >= 500,
    )
    assert lines == {f"line {line} of task {number}" for line in range(25) for number in range(20)}


def _waiting() -> Callable[[Path | None], str]:
    """Return a function for the workers that waits for a file, if it gets one."""

    def wait_until(path: Path | None) -> str:
        deadline = time.monotonic() + 60
        while path is not None and not path.exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} was not made")
            time.sleep(0.01)
        return str(path)

    return wait_until
