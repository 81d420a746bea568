"""Children of the driver: one coordinator (Dask scheduler, Ray head) per cluster of the run.

They share the driver's container, so "driver gone, cluster gone" holds with no operator at all, and a coordinator's
death is seen at once by waitpid.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, NamedTuple

from flowrun_api.contract import Activation, ClusterContract
from prefect_flowrun.engines.base import CoordinatorSpec
from prefect_flowrun.engines.dask.scheduler_command import dask_coordinator
from prefect_flowrun.engines.packages import PACKAGES, is_installed
from prefect_flowrun.engines.ray.head_command import ray_coordinator

POLL_S = 0.02
# Enough for the farewell to the workers (20 ms); the interpreter's own end takes 0.3 s more, for nothing. Workers that
# missed the farewell see the connection break.
STOP_GRACE_S = 0.15


class EngineMissingError(RuntimeError):
    """The image lacks what a cluster of the run needs."""


class _Role(NamedTuple):
    name: str
    specify: CoordinatorSpec


_ROLES = {
    "Dask": _Role("scheduler", dask_coordinator),
    "Ray": _Role("head", ray_coordinator),
}


def command(cluster: ClusterContract) -> tuple[list[str], dict[str, str]]:
    """Return the command line of a cluster's coordinator, and the environment variables to add.

    Args:
        cluster: as the operator describes it.

    Raises:
        EngineMissingError: this image can't run the engine.
    """
    role = _ROLES.get(cluster.engine)
    if role is None or not is_installed(cluster.engine):
        lacks = f"lacks the package {PACKAGES[cluster.engine]!r}" if role else "knows no such engine"
        raise EngineMissingError(f"Cluster {cluster.name!r} needs {cluster.engine}, but the image {lacks}")
    return role.specify(cluster)


class Coordinators:
    """Starts, watches and stops the coordinators of a run."""

    def __init__(self, on_lost: Callable[[str], None]) -> None:
        """Prepare; nothing is started yet.

        Args:
            on_lost: called in a thread, with a message for the user, when a coordinator ends without being asked to.
        """
        self._on_lost = on_lost
        self._lock = threading.Lock()
        self._children: dict[str, _Child] = {}
        self._stopping = False
        self.lost: str | None = None

    def start(self, clusters: Sequence[ClusterContract]) -> None:
        """Start the coordinators of the clusters that start with the run. Returns at once; they come up by themselves.

        Args:
            clusters: all clusters of the run.

        Raises:
            EngineMissingError: this image can't run an engine, be it of a cluster that starts later.
            OSError: a process can't be started.
        """
        for cluster in clusters:
            command(cluster)
        for cluster in clusters:
            if cluster.activation is Activation.ON_START:
                self.start_one(cluster)

    def start_one(self, cluster: ClusterContract) -> None:
        """Start the coordinator of a cluster, unless it runs. Returns at once; it comes up by itself.

        Args:
            cluster: of the run.

        Raises:
            EngineMissingError: this image can't run the engine.
            OSError: the process can't be started.
        """
        with self._lock:
            if self._stopping or cluster.name in self._children:
                return
            child = self._children[cluster.name] = _Child(cluster)
        _thread(self._watch, child)

    def stop_one(self, name: str) -> None:
        """Stop the coordinator of a cluster, if it runs.

        Args:
            name: of the cluster.
        """
        with self._lock:
            child = self._children.pop(name, None)
        if child is not None:
            _stop([child])

    def check(self, patience_s: float = 0.0) -> str | None:
        """Say which coordinator was lost, if one was; does not wait for the watching thread to get its turn.

        Args:
            patience_s: how long to wait for one that is about to end.
        """
        deadline = time.monotonic() + patience_s
        while self._look() is None and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return self.lost

    def _look(self) -> str | None:
        for child in [] if self._stopping else list(self._children.values()):
            if self.lost is None and not child.told_to_stop and child.process.poll() is not None:
                self.lost = child.obituary()
        return self.lost

    def stop(self) -> None:
        """Stop all: SIGTERM, then SIGKILL for what is still there after the grace. May be called twice."""
        with self._lock:
            self._stopping = True
            children = list(self._children.values())
        _stop(children)

    def _watch(self, child: _Child) -> None:
        child.process.wait()
        if child.told_to_stop or self._stopping:
            return
        # Its last words are the most useful ones: let the pumps print them first.
        child.wait_for_output(timeout=0.2)
        self.lost = self.lost or child.obituary()
        self._on_lost(self.lost)


class _Child:
    def __init__(self, cluster: ClusterContract) -> None:
        argv, settings = command(cluster)
        self.role = _ROLES[cluster.engine].name
        self.cluster = cluster
        self.told_to_stop = False
        self.process = subprocess.Popen(
            argv,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        prefix = f"[{self.role} {cluster.name}] ".encode()
        self._pumps = [
            _thread(_pump, self.process.stdout, sys.stdout.fileno(), prefix),
            _thread(_pump, self.process.stderr, sys.stderr.fileno(), prefix),
        ]

    def obituary(self) -> str:
        """Say how it ended."""
        code = self.process.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return f"The {self.cluster.engine} {self.role} of cluster {self.cluster.name!r} ended unasked ({how})"

    def tell_to_stop(self) -> None:
        """Send SIGTERM, and take the end for no loss from now on, unless it has ended before."""
        if self.process.poll() is None:
            self.told_to_stop = True
            self.process.send_signal(signal.SIGTERM)

    def wait_for_output(self, timeout: float) -> None:
        """Wait until its output is printed, at most `timeout` seconds."""
        deadline = time.monotonic() + timeout
        for pump in self._pumps:
            pump.join(max(0.0, deadline - time.monotonic()))


def _stop(children: Sequence[_Child]) -> None:
    for child in children:
        child.tell_to_stop()
    deadline = time.monotonic() + STOP_GRACE_S
    for child in children:
        try:
            child.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()


def _pump(source: IO[bytes], target: int, prefix: bytes) -> None:
    # Written to the descriptor line by line in one call: the driver's own lines don't get mixed into these.
    for line in source:
        try:
            os.write(target, prefix + line)
        except OSError:  # the container's log is gone; go on reading, or the child would block on a full pipe
            continue


def _thread(function: Callable[..., None], *args: object) -> threading.Thread:
    thread = threading.Thread(target=function, args=args, name=f"flowrun-{function.__name__.strip('_')}", daemon=True)
    thread.start()
    return thread
