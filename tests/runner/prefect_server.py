"""A real Prefect server on loopback, and questions to it. Shared by the tests of the runner plugin."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

# Set when this is imported, so before prefect is: no test may touch the developer's own Prefect home, or talk to other
# machines. And where Prefect has lost the address of our server, that is an error: it would start one of its own.
os.environ |= {
    "PREFECT_HOME": tempfile.mkdtemp(prefix="flowrun-prefect-"),
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}

STARTUP_S = 240
# Task runs, logs and events reach the server in batches of the client and are written in batches of the server.
SETTLE_S = 60
POLL_S = 0.05
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


# Neither the kernel (outgoing connections) nor Ray's workers nor Kubernetes' node ports take one of these by chance,
# before the process for which it was chosen does.
PORTS = range(20000, 30000)


def free_port() -> int:
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def eventually(ask: Callable[[], Any], enough: Callable[[Any], bool], timeout_s: float = SETTLE_S) -> Any:
    """Ask until the answer is enough; return the last one, for the caller to assert on."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = ask()
        if enough(answer) or time.monotonic() > deadline:
            return answer
        time.sleep(POLL_S)


@dataclass
class PrefectServer:
    """The server of the session, and questions to it."""

    url: str
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self._client = httpx.Client(timeout=30)

    def get(self, path: str) -> Any:
        return self._answer("GET", path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._answer("POST", path, json=body)

    def _answer(self, method: str, path: str, **request: Any) -> Any:
        def ask() -> httpx.Response:
            return self._client.request(method, f"{self.url}/{path}", **request)

        # 503: its database is busy with what it records. Prefect's own client asks again, too.
        response = eventually(ask, lambda answer: answer.status_code != httpx.codes.SERVICE_UNAVAILABLE)
        response.raise_for_status()
        return response.json()

    def flow_run(self, flow_run_id: str) -> dict[str, Any]:
        return dict(self.get(f"flow_runs/{flow_run_id}"))

    def flow_runs_tagged(self, tag: str) -> list[dict[str, Any]]:
        return list(self.post("flow_runs/filter", {"flow_runs": {"tags": {"all_": [tag]}}}))

    def task_runs(self, flow_run_id: str) -> list[dict[str, Any]]:
        return list(self.post("task_runs/filter", {"flow_runs": {"id": {"any_": [str(flow_run_id)]}}, "limit": 200}))

    def final_task_runs(self, flow_run_id: str, expected: int) -> list[dict[str, Any]]:
        """The task runs when so many have ended, or as they are a while later; recorded from events, so not at once."""
        return list(
            eventually(
                lambda: self.task_runs(flow_run_id),
                lambda runs: sum(bool(run["state"]) and run["state_type"] in FINAL for run in runs) >= expected,
            )
        )

    def task_states(self, flow_run_id: str, expected: int) -> list[str]:
        """States of the task runs, sorted, when so many have ended."""
        return sorted(run["state_type"] for run in self.final_task_runs(flow_run_id, expected))

    def logs(self, flow_run_id: str) -> list[str]:
        return [entry["message"] for entry in self.log_entries(flow_run_id)]

    def log_entries(self, flow_run_id: str) -> list[dict[str, Any]]:
        """All log lines of a flow run; the server gives out 200 at a time."""
        entries: list[dict[str, Any]] = []
        while True:
            body = {
                "logs": {"flow_run_id": {"any_": [str(flow_run_id)]}},
                "sort": "TIMESTAMP_ASC",
                "limit": 200,
                "offset": len(entries),
            }
            page = self.post("logs/filter", body)
            entries += page
            if len(page) < 200:
                return entries

    def events(self, name: str, resource_id: str) -> list[dict[str, Any]]:
        body = {"filter": {"event": {"name": [name]}, "any_resource": {"id": [resource_id]}}, "limit": 50}
        return list(self.post("events/filter", body)["events"])


@contextlib.contextmanager
def running_server(home: Path, *start: str) -> Iterator[PrefectServer]:
    """Start a server whose data is in `home`, and stop it at the end; `start`: module and arguments that do so."""
    port = free_port()
    env = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
        # Tests ask for events soon after they were sent; five seconds by default. Not so the interval of the task run
        # recorder: it writes every event at once, cuts the interval down to whole seconds, and turns busily at zero.
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "0.5",
    }
    start = start or ("prefect", "server", "start")
    command = [sys.executable, "-m", *start, "--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen([*command, "--no-ui"], env=env, stdout=log, stderr=log)
    server = PrefectServer(f"http://127.0.0.1:{port}/api", process)
    try:
        _wait_until_healthy(server, process, home / "server.log")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_until_healthy(server: PrefectServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTUP_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{server.url}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise RuntimeError(f"the Prefect server did not start: {log.read_text()[-2000:]}")
