"""The drivers' logs of a run, attempt after attempt, while somebody follows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from prefect_flowrun.cli.problem import Gone, Problem, Unreachable
from prefect_flowrun.cli.view import is_of_a_coordinator

if TYPE_CHECKING:
    from prefect_flowrun.cli.cluster import Cluster

_POLL_S = 0.5
_REST_S = 10.0
# Lines reach us a moment after they were written; those that come twice are told by their times.
_OVERLAP_S = 5


class DriverLog:
    """Gives the lines of the drivers' logs to a function.

    Args:
        cluster: where the run is.
        run_uid: of the FlowRun: an earlier one of its name may still be going.
        say: takes a line.
        everything: the lines of schedulers and heads too.
    """

    def __init__(self, cluster: Cluster, run_uid: str, say: Callable[[str], None], *, everything: bool = False) -> None:
        self._cluster = cluster
        self._run_uid = run_uid
        self._say = say
        self._everything = everything
        self._done: set[str] = set()
        self._unread: set[str] = set()
        self._until: dict[str, str] = {}
        self._heard_at: dict[str, float] = {}
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

    def read_to_end(self) -> bool:
        """Read the logs of all drivers that there are, until the last one has ended.

        Returns:
            whether there is any driver.

        Raises:
            Problem: the cluster does not tell of the drivers.
        """
        while drivers := self._read():
            if all(pod["metadata"]["uid"] in self._done for pod in drivers):
                return True
            time.sleep(_POLL_S)
        return False

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

    def _read(self) -> list[dict[str, Any]]:
        """Read each driver's log to its end, or to where it breaks off; a next call goes on there."""
        drivers = self._cluster.drivers(self._run_uid)
        for pod in drivers:
            uid, name = pod["metadata"]["uid"], pod["metadata"]["name"]
            if uid in self._done or not _started(pod):
                continue
            try:
                self._read_one(uid, name)
                if _ended(pod):
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
        return drivers

    def _read_one(self, uid: str, pod: str) -> None:
        until, heard_at = self._until.get(uid, ""), self._heard_at.get(uid)
        since_s = None if heard_at is None else int(time.monotonic() - heard_at) + _OVERLAP_S
        for at, text in self._cluster.log(pod, since_s):
            self._heard_at[uid] = time.monotonic()
            if at and at <= until:  # told before the log broke off
                continue
            self._until[uid] = max(at, self._until.get(uid, ""))
            self._lines += 1
            if self._everything or not is_of_a_coordinator(text):
                self._say(text)


def _state(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the state of the driver's container: a pod template may have added others."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    states = [status.get("state") or {} for status in statuses if status["name"] == "flowrun"]
    return states[0] if states else {}


def _started(pod: dict[str, Any]) -> bool:
    return any(_state(pod).get(name) for name in ("running", "terminated"))


def _ended(pod: dict[str, Any]) -> bool:
    return bool(_state(pod).get("terminated"))
