"""The drivers' logs of a run, attempt after attempt, while somebody follows it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from prefect_flowrun.cli.cluster import Cluster
from prefect_flowrun.cli.problem import Gone, Problem, Unreachable

_POLL_S = 0.5
_REST_S = 10.0


class DriverLog:
    """Gives the lines of the drivers' logs to a function, from a thread.

    Args:
        cluster: where the run is.
        run: its name.
        say: takes a line.
    """

    def __init__(self, cluster: Cluster, run: str, say: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._run = run
        self._say = say
        self._read: set[str] = set()
        self._until: dict[str, str] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="driver-log", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def finish(self) -> None:
        """Wait for the rest of the lines, after the run's end; not for ever, as a connection may be dead."""
        self._over.set()
        self._thread.join(_REST_S)

    def _follow(self) -> None:
        last = False
        while not last:
            last = self._over.wait(_POLL_S)
            try:
                self.read()
            except (Unreachable, Gone):
                continue  # the server is back in a moment; or the pod has gone with its run
            except Problem as problem:  # the run goes on without its log, for want of a right for example
                self._say(f"flowrun: no log: {problem}")
                return

    def read(self) -> bool:
        """Read each driver's log to its end, or to where it breaks off; a next call goes on there.

        Returns:
            whether there is any driver.

        Raises:
            Problem: the cluster does not give the logs.
        """
        drivers = self._cluster.drivers(self._run)
        for pod in drivers:
            if _started(pod) and pod["metadata"]["uid"] not in self._read:
                self._read_one(pod)
        return bool(drivers)

    def _read_one(self, pod: dict[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        for time, text in self._cluster.log(pod["metadata"]["name"]):
            if time > self._until.get(uid, ""):  # the kubelet writes times of a fixed width
                self._until[uid] = time
                self._say(text)
        if _ended(pod):
            self._read.add(uid)


def _state(pod: dict[str, Any]) -> dict[str, Any]:
    statuses = pod.get("status", {}).get("containerStatuses") or [{}]
    state: dict[str, Any] = statuses[0].get("state") or {}
    return state


def _started(pod: dict[str, Any]) -> bool:
    return any(_state(pod).get(name) for name in ("running", "terminated"))


def _ended(pod: dict[str, Any]) -> bool:
    return bool(_state(pod).get("terminated"))
