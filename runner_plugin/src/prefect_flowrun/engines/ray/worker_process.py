"""`python -m prefect_flowrun.engines.ray_worker`: a Ray worker node, the whole life of a worker pod.

Waits for the head here, inside the process, while ray is imported; then starts the node and stays until the head goes,
the node ends or SIGTERM comes. Exit code 0 means that it was no accident.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn

from flowrun_api import environment
from flowrun_api.contract import DEFAULT_TERMINATION_LOG
from prefect_flowrun.engines.ray import settings, store_size
from prefect_flowrun.engines.ray.head_watch import HeadWatch
from prefect_flowrun.engines.ray.node import NodeOptions, RayNode
from prefect_flowrun.source import work_folder

WATCH_INTERVAL_S = 0.1
STOP_GRACE_S = 0.5
# The GCS answers some 100 ms before the head's own node is known, and Ray would sleep for 2 s if it is not.
HEAD_NODE_POLL_S = 0.05
VERSION_MISMATCH = "VersionMismatch"
# How Ray's own message begins when a node's Ray or Python is another than the head's.
RAYS_MISMATCH = "Version mismatch:"
MESSAGE_LENGTH = 1000


class _Launcher:
    """The steps of a worker's life, and what its threads must know of each other."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        host, _, port = arguments.address.rpartition(":")
        self._host, self._port = host, int(port)
        self._watch = HeadWatch(host, self._port)
        self._node: RayNode | None = None
        self._leaving = threading.Lock()
        self.ready = threading.Event()

    def run(self) -> NoReturn:
        started = time.monotonic()
        importing = _thread(_import_ray)
        work_folder.prepare()  # the node's task processes inherit the working directory
        if not self._watch.wait_for_head(self._arguments.death_timeout):
            self.leave(1, f"no Ray head at {self._arguments.address} after {self._arguments.death_timeout:g} s")
        reachable = time.monotonic()
        _thread(self._leave_with_head)
        importing.join()
        address = f"{socket.gethostbyname(self._host)}:{self._port}"
        _wait_for_head_node(address)
        # For processes that tasks start: their ray.init() joins this cluster too.
        os.environ.setdefault("RAY_ADDRESS", address)
        self._node = RayNode(self._options(address))
        self.ready.set()
        if self._arguments.ready_file is not None:
            settings.write_ready(self._arguments.ready_file, address)
        _say(f"head reachable after {reachable - started:.2f} s, node up after {time.monotonic() - started:.2f} s")
        while not (dead := self._node.dead()):
            time.sleep(WATCH_INTERVAL_S)
        if self._node.left_in_peace():
            self.leave(0, "the node was told to leave")
        self.leave(1, f"Ray's processes ended: {', '.join(dead)}")

    def leave(self, code: int, why: str) -> NoReturn:
        """End the process; the first thread to come here does it."""
        with self._leaving:
            _say(f"leaving: {why}")
            if code:
                _tell_operator(why)
            if self._node is not None:
                self._node.stop(STOP_GRACE_S)
            os._exit(code)

    def _leave_with_head(self) -> None:
        how = self._watch.wait_until_gone()
        self.leave(0, f"the head has gone: {how}")

    def _options(self, address: str) -> NodeOptions:
        arguments = self._arguments
        return NodeOptions(
            name=arguments.name,
            num_cpus=arguments.num_cpus,
            num_gpus=arguments.num_gpus,
            resources=arguments.resources,
            temp_dir=arguments.temp_dir,
            head_address=address,
            object_store_bytes=store_size.fitted(arguments.object_store_memory),
        )


def main(argv: list[str] | None = None) -> NoReturn:
    """Be a worker; never returns.

    Args:
        argv: command line without the program; None means the process's own.
    """
    arguments = _parse(argv)
    launcher = _Launcher(arguments)
    _on_sigterm(lambda: launcher.leave(0, "SIGTERM"))
    _serve_ready(arguments.ready_port, launcher.ready)
    try:
        launcher.run()
    except Exception as error:  # Ray raises plain Exception, too
        launcher.leave(1, f"the node could not be started: {type(error).__name__}: {error}")


def _on_sigterm(leave: Callable[[], None]) -> None:
    """Leave in a thread: the main thread may be deep in a call of Ray's that no signal interrupts."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def wait() -> None:
        while signal.SIGTERM not in os.read(reader, 64):
            pass
        leave()

    _thread(wait)


def _serve_ready(port: int | None, ready: threading.Event) -> None:
    """Answer GET /ready with 200 once the node is registered, with 503 before."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if ready.is_set() and self.path == "/ready" else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    if port is not None:
        # All interfaces: the kubelet asks from outside the pod.
        server = ThreadingHTTPServer(("0.0.0.0", port), Handler)  # noqa: S104
        _thread(server.serve_forever)


def _import_ray() -> None:
    # While the head is waited for.
    importlib.import_module("ray._private.node")


def _wait_for_head_node(address: str) -> None:
    client = importlib.import_module("ray._raylet").GcsClient(address=address)
    while not client.get_all_node_info():
        time.sleep(HEAD_NODE_POLL_S)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Worker of a Ray cluster of a FlowRun")
    parser.add_argument("--address", required=True, help="HOST:PORT of the head's GCS")
    parser.add_argument("--name", default=socket.gethostname(), help="name of the node")
    parser.add_argument("--num-cpus", type=int, required=True)
    parser.add_argument("--num-gpus", type=int)
    parser.add_argument("--resources", type=json.loads, help="what else it offers: JSON, names and whole numbers")
    parser.add_argument("--object-store-memory", type=int, help="bytes, at most; default: as Ray chooses")
    parser.add_argument("--ready-port", type=int, help="port of GET /ready; default: none")
    parser.add_argument("--ready-file", type=Path, help="written when the node is up; default: none")
    parser.add_argument("--death-timeout", type=float, default=600, help="longest wait for the head, in seconds")
    parser.add_argument("--temp-dir", type=Path, default=settings.temp_dir("worker"))
    return parser.parse_args(argv)


def _thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function, name=f"flowrun-{function.__name__.strip('_')}", daemon=True)
    thread.start()
    return thread


def _tell_operator(why: str) -> None:
    """Leave the reason where the operator reads it: a worker of another Ray can't tell the driver."""
    reason = VERSION_MISMATCH if RAYS_MISMATCH in why else "WorkerFailed"
    log = Path(os.environ.get(environment.TERMINATION_LOG, DEFAULT_TERMINATION_LOG))
    with contextlib.suppress(OSError):  # there is none outside a pod
        log.write_text(json.dumps({"reason": reason, "message": why[:MESSAGE_LENGTH]}))


def _say(message: str) -> None:
    print(f"[ray worker] {message}", file=sys.stderr, flush=True)  # noqa: T201 - the container's log
