"""The drivers' logs of a run, attempt after attempt, while somebody follows it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from flowrun.cli.following.pod_log import PodLog, Source
from flowrun.cli.show.view import is_of_a_coordinator
from flowrun.kube.container_state import ended, started
from flowrun.problem import Gone, Problem, Unreachable

_POLL_S = 0.5
_REST_S = 10.0


class Drivers(Source, Protocol):
    """Where drivers are: `kube.pods.Pods`."""

    def drivers(self, run_uid: str) -> list[dict[str, Any]]:
        """Return the driver pods of a run, the first attempt's first."""


class DriverLog:
    """Gives the lines of the drivers' logs to a function.

    Args:
        pods: of the cluster.
        run_uid: of the FlowRun: an earlier one of its name may still be going.
        say: takes a line.
        everything: the lines of schedulers and heads too.
    """

    def __init__(self, pods: Drivers, run_uid: str, say: Callable[[str], None], *, everything: bool = False) -> None:
        self._pods = pods
        self._run_uid = run_uid
        self._say = say
        self._everything = everything
        self._done: set[str] = set()
        self._unread: set[str] = set()
        self._logs: dict[str, PodLog] = {}
        self._lines = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="driver-log", daemon=True)

    def start(self) -> None:
        """Begin to read, in a thread."""
        self._thread.start()

    def finish(self) -> None:
        """Wait for the rest of the lines, after the run's end; not for ever, as a connection may be dead."""
        self._over.set()
        while self._thread.is_alive():
            before = self._lines
            self._thread.join(_REST_S)
            if self._thread.is_alive() and self._lines == before:
                self._say("flowrun: the end of the log does not come")
                return

    def _follow(self) -> None:
        last = False
        while not last:
            last = self._over.wait(_POLL_S)
            try:
                self._read()
            except Unreachable:
                continue  # it is back in a moment
            except Problem as problem:  # the run goes on without its log, for want of a right for example
                self._say(f"flowrun: no log: {problem}")
                return

    def _read(self) -> None:
        """Read each driver's log to its end, or to where it breaks off; a next call goes on there."""
        for pod in self._pods.drivers(self._run_uid):
            uid, name = pod["metadata"]["uid"], pod["metadata"]["name"]
            if uid in self._done or not started(pod):
                continue
            try:
                self._logs.setdefault(uid, PodLog(self._pods, name, self._take)).read()
                if ended(pod):
                    self._done.add(uid)
            except Gone:
                self._done.add(uid)
            except Unreachable as problem:  # its node may be lost: the next attempt's log is read all the same
                if uid not in self._unread:
                    self._unread.add(uid)
                    self._say(f"flowrun: {problem}; trying again")
            except Problem as problem:
                self._done.add(uid)
                self._say(f"flowrun: {problem}")

    def _take(self, line: str) -> None:
        self._lines += 1
        if self._everything or not is_of_a_coordinator(line):
            self._say(line)
