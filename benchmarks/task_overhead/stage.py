"""The Prefect server and the clusters that all rows share, each in processes of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from task_overhead import cpu
from task_overhead.children import child, free_port, listens, wait_until
from task_overhead.rows import CLUSTER, WORKERS, Row

START_S = 300.0
ATTEMPTS = 3
MESSAGE_LENGTH = 400
LOG_PAGE = 200  # the most that the server gives out at a time
CHART_ENV = Path("charts/flowrun-operator/templates/_prefect-server-env.tpl")
# Of the bundled server: the recorder's and the persister's. Where files lie is this benchmark's own affair.
CHART_SETTING = re.compile(r'- name: (PREFECT_SERVER_SERVICES_\w+)\n\s*value: "?([^"\n]+)')
DROPPED = b"Subscription queue is full"
QUIET_CPU = 0.2
# Settings of whoever calls would reach what is measured.
_FOREIGN = ("PREFECT_", "FLOWRUN_", "DASK_", "RAY_")


class Server:
    """The Prefect server: a process, and questions to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=60)

    def healthy(self) -> bool:
        try:
            return self._http.get("/health").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def recorded(self, flow_run_id: str) -> int:
        """Count the task runs of a flow run that have completed, as far as the server knows."""
        states = {"state": {"type": {"any_": ["COMPLETED"]}}}
        return int(self._ask("/task_runs/count", {**_of(flow_run_id, "flow_runs", "id"), "task_runs": states}))

    def log_lines(self, flow_run_id: str, beginning: str) -> int:
        """Count the log lines of a flow run that begin so."""
        lines, page = 0, [{}]
        offset = 0
        while page:
            body = {
                **_of(flow_run_id, "logs", "flow_run_id"),
                "limit": LOG_PAGE,
                "offset": offset,
                "sort": "TIMESTAMP_ASC",
            }
            page = self._ask("/logs/filter", body)
            lines += sum(entry["message"].startswith(beginning) for entry in page)
            offset += len(page)
        return lines

    def _ask(self, path: str, body: dict[str, Any]) -> Any:
        answer = self._http.post(path, json=body)
        answer.raise_for_status()
        return answer.json()


@dataclass
class Stage:
    """All that stands while the rows are measured."""

    server: Server
    folder: Path
    env: dict[str, str]
    groups: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    """Processes by what they belong to ("server", "dask", "ray") and by group."""
    addresses: dict[str, str] = field(default_factory=dict)
    """Of the coordinators, by engine."""
    broken: dict[str, str] = field(default_factory=dict)
    """Engines whose cluster did not start, and why."""
    server_settings: dict[str, str] = field(default_factory=dict)
    """Environment of the server beyond that of the others."""
    server_process: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def groups_of(self, row: Row) -> dict[str, list[int]]:
        """Return the processes that work for a row, besides its driver."""
        server = self.groups["server"] if row.uses_prefect else {}
        return {**server, **self.groups.get(row.engine, {})}

    def driver_env(self, row: Row) -> dict[str, str]:
        """Return the environment of a row's driver; ours finds its cluster in it, as in a FlowRun."""
        if row.kind != "ours":
            return self.env
        address = self.addresses[row.engine]
        contract = {
            "name": CLUSTER,
            "engine": row.engine.capitalize(),
            "address": address,
            "port": int(address.rpartition(":")[2]),
            "httpPort": free_port(),
            "workers": WORKERS,
            "startupTimeoutSeconds": 60,
        }
        return {**self.env, "FLOWRUN_NAME": "bench", "FLOWRUN_CLUSTERS": json.dumps([contract])}

    def server_quiet(self, timeout_s: float) -> bool:
        """Wait until the server has nothing left to do.

        Args:
            timeout_s: longest wait.
        """
        deadline = time.monotonic() + timeout_s
        before = cpu.sample(self.groups["server"])
        while time.monotonic() < deadline:
            time.sleep(1.0)
            now = cpu.sample(self.groups["server"])
            if cpu.spent(before, now)["server"] < QUIET_CPU:
                return True
            before = now
        return False

    def dropped_events(self) -> int:
        """Count the events that the server has dropped since it was started."""
        return (self.folder / "server.log").read_bytes().count(DROPPED)

    def restart_server(self) -> None:
        """Stop the server if it runs, and start it; what it has not recorded yet is lost."""
        self.server_process.close()
        env = {**self.env, **self.server_settings, "PREFECT_HOME": str(self.folder / "server")}
        url = httpx.URL(env.pop("PREFECT_API_URL"))
        log = self.folder / "server.log"
        start = ["prefect_flowrun.bundled_server"] if self.server_settings else ["prefect", "server", "start"]
        command = [*start, "--host", url.host, "--port", str(url.port), "--no-ui"]
        process = self.server_process.enter_context(child([sys.executable, "-m", *command], env, log, self.folder))
        self.groups["server"] = {"server": [process.pid]}
        wait_until(self.server.healthy, process, log, START_S)


@contextlib.contextmanager
def standing(folder: Path, benchmarks: Path, engines: set[str], *, stock_server: bool = False) -> Iterator[Stage]:
    """Start a Prefect server and one cluster per engine, and stop them at the end.

    Args:
        folder: takes all files; short, since Ray keeps sockets in it.
        benchmarks: where workers find the tasks' functions.
        engines: of the clusters.
        stock_server: whether the server has stock settings instead of those of the bundled one.
    """
    env = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    env |= {
        "PYTHONPATH": str(benchmarks),
        "TMPDIR": str(folder / "tmp"),
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "RAY_TMPDIR": str(folder / "ray"),
        "RAY_AUTH_MODE": "disabled",  # unset, it depends on whether a token lies about in HOME
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # at the end there is nothing to wait for
    }
    for name in ("work", "tmp", "server", "ray"):
        (folder / name).mkdir()
    stage = Stage(Server(env["PREFECT_API_URL"]), folder, env)
    if not stock_server:
        stage.server_settings = dict(CHART_SETTING.findall((benchmarks.parent / CHART_ENV).read_text()))
    with contextlib.ExitStack() as stack:
        stack.enter_context(stage.server_process)
        stage.restart_server()
        for engine, start in (("dask", _start_dask), ("ray", _start_ray)):
            if engine in engines:
                _try_to_start(stage, stack, engine, start)
        yield stage


Start = Callable[[Stage, contextlib.ExitStack], None]


def _try_to_start(stage: Stage, stack: contextlib.ExitStack, engine: str, start: Start) -> None:
    """Start a cluster; Ray gives up after 30 s, which a busy machine may exceed."""
    for _ in range(ATTEMPTS):
        with contextlib.ExitStack() as attempt:
            try:
                start(stage, attempt)
            except RuntimeError as error:
                stage.broken[engine] = " ".join(str(error).split())[-MESSAGE_LENGTH:]
            else:
                stage.broken.pop(engine, None)
                stack.push(attempt.pop_all())
                return


def _start_dask(stage: Stage, stack: contextlib.ExitStack) -> None:
    port = free_port()
    address = stage.addresses["dask"] = f"tcp://127.0.0.1:{port}"
    python = [sys.executable, "-m"]
    log = stage.folder / "scheduler.log"
    command = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    command += ["--dashboard-address", "127.0.0.1:0"]
    scheduler = stack.enter_context(child([*python, *command], stage.env, log, stage.folder / "work"))
    wait_until(lambda: listens(port), scheduler, log, START_S)
    workers = []
    for number in range(WORKERS):
        command = ["distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1", "--memory-limit", "0"]
        command += [
            "--no-dashboard",
            "--dashboard-address",
            "127.0.0.1:0",
            "--local-directory",
            str(stage.folder / "dask"),
        ]
        log = stage.folder / f"worker-{number}.log"
        workers.append(stack.enter_context(child([*python, *command], stage.env, log, stage.folder / "work")).pid)
    stage.groups["dask"] = {"coordinator": [scheduler.pid], "workers": workers}


def _start_ray(stage: Stage, stack: contextlib.ExitStack) -> None:
    port = free_port()
    stage.addresses["ray"] = f"127.0.0.1:{port}"
    command = ["ray.scripts.scripts", "start", "--head", "--block", "--no-monitor", f"--port={port}"]
    command += ["--node-ip-address=127.0.0.1"]
    command += [f"--num-cpus={WORKERS}", "--include-dashboard=false", "--object-store-memory=500000000"]
    # Fixed by default, and taken if another Ray runs on this machine.
    command += [f"--ray-client-server-port={free_port()}", f"--dashboard-agent-listen-port={free_port()}"]
    log = stage.folder / "ray.log"
    process = stack.enter_context(child([sys.executable, "-m", *command], stage.env, log, stage.folder / "work"))
    stage.groups["ray"] = {"ray": [process.pid]}
    wait_until(lambda: b"Ray runtime started" in log.read_bytes(), process, log, START_S)


def _of(flow_run_id: str, kind: str, name: str) -> dict[str, Any]:
    return {kind: {name: {"any_": [flow_run_id]}}}
