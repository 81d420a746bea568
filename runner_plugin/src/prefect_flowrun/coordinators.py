"""Children of the driver: one coordinator (Dask scheduler) per cluster of the run.

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
from typing import IO

from prefect_flowrun.contract import Activation, ClusterContract
from prefect_flowrun.engines.dask_coordinator import dask_coordinator

# Enough for the farewell to the workers (20 ms); the interpreter's own end takes 0.3 s more, for nothing. Workers that
# missed the farewell see the connection break.
STOP_GRACE_S = 0.15
_SPECS = {"Dask": ("scheduler", dask_coordinator)}


class Coordinators:
    """Starts, watches and stops the coordinators of a run."""

    def __init__(self, on_lost: Callable[[str], None]) -> None:
        """Prepare; nothing is started yet.

        Args:
            on_lost: called in a thread, with a message for the user, when a coordinator ends without being asked to.
        """
        self._on_lost = on_lost
        self._children: list[_Child] = []
        self._stopping = False
        self.lost: str | None = None

    def start(self, clusters: Sequence[ClusterContract]) -> None:
        """Start the coordinators of the clusters that start with the run. Returns at once; they come up by themselves.

        Args:
            clusters: all clusters of the run.

        Raises:
            NotImplementedError: an engine is not supported yet.
            OSError: a process can't be started.
        """
        for cluster in clusters:
            if cluster.engine not in _SPECS:
                raise NotImplementedError(f"Cluster {cluster.name!r}: engine {cluster.engine} is not supported yet")
        for cluster in clusters:
            if cluster.activation is Activation.ON_START:
                child = _Child(cluster)
                self._children.append(child)
                _thread(self._watch, child)

    def check(self) -> str | None:
        """Say which coordinator was lost, if one was; does not wait for the watching thread to get its turn."""
        if not self._stopping and self.lost is None:
            for child in self._children:
                if child.process.poll() is not None:
                    self.lost = child.obituary()
        return self.lost

    def stop(self) -> None:
        """Stop all: SIGTERM, then SIGKILL for what is still there after the grace. May be called twice."""
        self._stopping = True
        for child in self._children:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_GRACE_S
        for child in self._children:
            try:
                child.process.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.signal(signal.SIGKILL)
                child.process.wait()

    def _watch(self, child: _Child) -> None:
        child.process.wait()
        if self._stopping:
            return
        # Its last words are the most useful ones: let the pumps print them first.
        child.wait_for_output(timeout=0.2)
        self.lost = self.lost or child.obituary()
        self._on_lost(self.lost)


class _Child:
    def __init__(self, cluster: ClusterContract) -> None:
        self.role, specify = _SPECS[cluster.engine]
        self.cluster = cluster
        argv, settings = specify(cluster)
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

    def signal(self, number: int) -> None:
        """Send a signal, unless the process is gone."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def wait_for_output(self, timeout: float) -> None:
        """Wait until its output is printed, at most `timeout` seconds."""
        deadline = time.monotonic() + timeout
        for pump in self._pumps:
            pump.join(max(0.0, deadline - time.monotonic()))


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
