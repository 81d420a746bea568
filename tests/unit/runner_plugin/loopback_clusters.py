"""Ray workers as their pods run them, and the part of the Kubernetes API that a driver uses."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from prefect_server import free_port

FLOWS = Path(__file__).parent / "flows"
OBJECT_STORE_BYTES = 80 * 2**20
RAY_ENVIRONMENT = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}


def ray_cluster(name: str, **changes: Any) -> dict[str, Any]:
    """Return the contract of a Ray cluster on this machine."""
    port = free_port()
    return {
        "name": name,
        "engine": "Ray",
        "activation": "OnStart",
        "address": f"127.0.0.1:{port}",
        "port": port,
        "httpPort": free_port(),
        "workers": 1,
        "threadsPerWorker": 1,
        "startupTimeoutSeconds": 120,
        "taskCluster": f"run-1-{name}",
        "minWorkers": 1,
        "maxWorkers": 1,
        "objectStoreBytes": OBJECT_STORE_BYTES,
        **changes,
    }


@dataclass
class RayWorker:
    """A worker's process, and where it says that it is ready."""

    process: subprocess.Popen[bytes]
    ready_port: int
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text()

    def poll(self) -> int | None:
        return self.process.poll()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def start_ray_worker(
    contract: dict[str, Any],
    folder: Path,
    name: str = "worker-0",
    *,
    cwd: Path | None = None,
    told: Mapping[str, str] | None = None,
    **options: str,
) -> RayWorker:
    """Start a worker as its pod does; its sockets need a short path, hence /tmp.

    Its working directory is that of the tests' flows, as if one image had them all, or `cwd`; `told` is added to its
    environment.
    """
    port = free_port()
    command = [sys.executable, "-P", "-m", "prefect_flowrun.engines.ray_worker", "--address", contract["address"]]
    command += ["--num-cpus", "1", "--object-store-memory", str(OBJECT_STORE_BYTES), "--name", name]
    command += ["--ready-port", str(port), "--death-timeout", "120", "--temp-dir", f"/tmp/frw-{port}"]
    for option, value in options.items():
        command += [f"--{option.replace('_', '-')}", value]
    log = folder / f"{contract['name']}-{name}-{port}.log"
    env = {key: value for key, value in os.environ.items() if not key.startswith(("FLOWRUN_", "PREFECT_", "RAY_"))}
    env |= {**RAY_ENVIRONMENT, **(told or {})}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=cwd or FLOWS, env=env, stdout=output, stderr=output)
    return RayWorker(process, port, log)


@dataclass
class KubeApi:
    """Answers GET of a TaskCluster and PATCH of its scale; `on_scale` does what the operator would."""

    on_scale: Callable[[str, int], None] = lambda name, replicas: None
    conditions: list[dict[str, str]] = field(default_factory=list)
    refusals: list[tuple[int, str]] = field(default_factory=list)
    requests: list[tuple[str, str, str, str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_PATCH(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _answer(self, body: Any) -> None:
                token, kind = self.headers["Authorization"], self.headers.get("Content-Type", "")
                api.requests.append((self.command, self.path, token, kind, body))
                code, answer = api._answer(self.path, body)
                data = json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def scaled(self) -> list[tuple[str, int]]:
        """Each TaskCluster that was scaled, in order, with the replicas."""
        return [
            (path.split("/")[-2], body["spec"]["replicas"])
            for method, path, _, _, body in self.requests
            if method == "PATCH"
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        if self.refusals:
            code, message = self.refusals.pop(0)
            return code, {"kind": "Status", "message": message}
        if body is not None:
            self.on_scale(path.split("/")[-2], body["spec"]["replicas"])
            return 200, body
        return 200, {"status": {"conditions": self.conditions}}
