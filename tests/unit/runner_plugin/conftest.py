"""A real Prefect server, and real drivers and workers as processes."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from forked import Forked
from prefect_server import PrefectServer, free_port, running_server

FLOWS = Path(__file__).parent / "flows"
Process = subprocess.Popen[bytes] | Forked
RUN_S = 240
# What the operator tells workers too.
_FOLDERS = ("FLOWRUN_SOURCE", "FLOWRUN_WORK")


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with running_server(tmp_path_factory.mktemp("prefect-server")) as server:
        yield server


@dataclass
class Drive:
    """A driver, and the workers of its cluster."""

    process: Process
    workers: list[Process]
    start_worker: Callable[[], Process]
    log: Path
    result_file: Path
    env: dict[str, str]
    server: PrefectServer
    started: float = field(default_factory=time.monotonic)

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def tag(self) -> str:
        return f"flowrun:{self.env['FLOWRUN_NAMESPACE']}/{self.env['FLOWRUN_NAME']}"

    def finish(self, timeout: float = RUN_S, *, replace_lost_workers: bool = False) -> dict[str, Any]:
        """Wait for the driver and return its result; start another worker for each that ends, as the operator does."""
        deadline = time.monotonic() + timeout
        lost = 0
        while (code := self.process.poll()) is None:
            assert time.monotonic() < deadline, f"the driver did not end:\n{self.output}"
            ended = sum(worker.poll() is not None for worker in self.workers)
            if replace_lost_workers and ended > lost:
                lost += 1
                self.workers.append(self.start_worker())
            time.sleep(0.05)
        assert self.result_file.exists(), self.output
        result = dict(json.loads(self.result_file.read_text()))
        assert code == (0 if result["type"] == "COMPLETED" else 1), (code, result)
        return result

    def wait_for_output(self, text: str, timeout: float = RUN_S) -> None:
        deadline = time.monotonic() + timeout
        while text not in self.output:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"{text!r} did not appear:\n{self.output}")
            time.sleep(0.05)

    def wait_for_file(self, path: Path, timeout: float = RUN_S) -> None:
        deadline = time.monotonic() + timeout
        while not path.exists():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"{path} did not appear:\n{self.output}")
            time.sleep(0.05)

    def stop(self) -> None:
        # Asked first: outside a container nobody would end the scheduler of a driver that is killed.
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        for process in [self.process, *self.workers]:
            if process.poll() is None:
                process.kill()
            process.wait()


Driver = Callable[..., Drive]


@pytest.fixture
def drive(prefect_server: PrefectServer, tmp_path: Path) -> Iterator[Driver]:
    """Start drivers: `drive(entrypoint, parameters, clusters=("default",), workers=1, cwd=..., **environment)`.

    With `fresh` driver and workers are started by the very command of their pods, and import everything themselves.
    """
    drives: list[Drive] = []

    def start(
        entrypoint: str,
        parameters: dict[str, Any] | None = None,
        *,
        clusters: tuple[str, ...] = ("default",),
        workers: int = 1,
        cwd: Path = FLOWS,
        worker_environment: Mapping[str, str] | None = None,
        fresh: bool = False,
        **environment: str,
    ) -> Drive:
        contracts = [_cluster(name) for name in clusters]
        number = len(drives)
        env = {
            **_clean_environment(),
            "PREFECT_HOME": str(tmp_path / f"home-{number}"),
            "PREFECT_API_URL": prefect_server.url,
            "FLOWRUN_NAME": f"run-{uuid.uuid4().hex[:8]}",
            "FLOWRUN_NAMESPACE": "team",
            "FLOWRUN_UID": str(uuid.uuid4()),
            "FLOWRUN_ATTEMPT": "1",
            "FLOWRUN_ENTRYPOINT": entrypoint,
            "FLOWRUN_PARAMETERS": json.dumps(parameters or {}),
            "FLOWRUN_CLUSTERS": json.dumps(contracts),
            "FLOWRUN_TERMINATION_LOG": str(tmp_path / f"result-{number}"),
            **environment,
        }
        start_worker = functools.partial(_start_worker, {**env, **(worker_environment or {})}, tmp_path, cwd, fresh)
        started = [start_worker(contract) for contract in contracts for _ in range(workers)]
        log = tmp_path / f"driver-{number}.log"
        log.touch()
        process = _start("prefect_flowrun.driver", cwd=cwd, env=env, log=log, fresh=fresh)
        driven = Drive(
            process=process,
            workers=started,
            start_worker=functools.partial(start_worker, *contracts[:1]),
            log=log,
            result_file=Path(env["FLOWRUN_TERMINATION_LOG"]),
            env=env,
            server=prefect_server,
        )
        drives.append(driven)
        return driven

    yield start
    for driven in drives:
        driven.stop()


def _clean_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("FLOWRUN_", "PREFECT_", "DASK_"))}


def _cluster(name: str) -> dict[str, Any]:
    port = free_port()
    return {
        "name": name,
        "engine": "Dask",
        "activation": "OnStart",
        "address": f"tcp://127.0.0.1:{port}",
        "port": port,
        "httpPort": free_port(),
        "workers": 1,
        "threadsPerWorker": 1,
        "startupTimeoutSeconds": 120,
    }


def _start(module: str, *args: str, cwd: Path, env: dict[str, str], log: Path, fresh: bool) -> Process:
    if not fresh:
        return Forked(module, *args, cwd=cwd, env=env, log=log)
    with log.open("ab") as output:
        command = [sys.executable, "-P", "-m", module, *args]
        return subprocess.Popen(command, cwd=cwd, env=env, stdout=output, stderr=output)


def _start_worker(
    driver_env: dict[str, str], folder: Path, cwd: Path, fresh: bool, contract: dict[str, Any]
) -> Process:
    env = {key: value for key, value in driver_env.items() if not key.startswith("FLOWRUN_") or key in _FOLDERS}
    env["DASK_SCHEDULER_ADDRESS"] = contract["address"]
    routes = ["prefect_flowrun.engines.dask_http", "distributed.http.health"]
    env["DASK_DISTRIBUTED__WORKER__HTTP__ROUTES"] = json.dumps(routes)
    ports = contract.setdefault("workerHttpPorts", [])
    ports.append(free_port())
    name = f"{contract['name']}-{len(ports) - 1}"
    command = ["distributed.cli.dask_worker", "--no-nanny", "--no-dashboard"]
    command += ["--dashboard-address", f"127.0.0.1:{ports[-1]}"]
    command += ["--nthreads", "1", "--resources", "CPU=1", "--memory-limit", "0", "--name", name]
    command += ["--death-timeout", "200", "--local-directory", str(folder / "dask")]
    command += ["--preload", "prefect_flowrun.engines.dask_worker"]
    return _start(*command, cwd=cwd, env=env, log=folder / f"worker-{name}.log", fresh=fresh)


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    """The test's module, which pytest has loaded by its path, is one that workers can import."""
    import cloudpickle

    from prefect_flowrun.wire import by_value

    monkeypatch.syspath_prepend(str(pytestconfig.rootpath))
    # What other tests have found out without that path.
    for module in by_value._marked.values():
        with contextlib.suppress(ValueError):
            cloudpickle.unregister_pickle_by_value(module)
    monkeypatch.setattr(by_value, "_marked", {})
    monkeypatch.setattr(by_value, "_importable", {})
