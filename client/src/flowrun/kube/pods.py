"""Pods of runs and clusters, what their containers write, and why they don't start."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from urllib3.exceptions import ReadTimeoutError

from flowrun.kube.connection import Connection, asking
from flowrun_api.constants import LABEL_ROLE, LABEL_RUN, LABEL_RUN_UID, MAIN_CONTAINER, ROLE_DRIVER

Raw = dict[str, Any]

# A log that is silent for so long is asked for anew: the connection may be dead.
_SILENCE_S = 60.0


class Pods:
    """Pods of one namespace.

    Args:
        connection: to the cluster.
    """

    def __init__(self, connection: Connection) -> None:
        self.namespace = connection.namespace
        self._connection = connection

    def drivers(self, run_uid: str) -> list[Raw]:
        """Return the driver pods of a run, the first attempt's first.

        Raises:
            Problem: the cluster does not tell.
        """
        return self.labelled({LABEL_RUN_UID: run_uid, LABEL_ROLE: ROLE_DRIVER})

    def of_run(self, run: Raw) -> list[Raw]:
        """Return all pods of a run: drivers, workers and what reports its end.

        Args:
            run: the FlowRun. Pods that are older belong to an earlier one of its name.

        Raises:
            Problem: the cluster does not tell.
        """
        since = datetime.fromisoformat(run["metadata"]["creationTimestamp"])
        pods = self.labelled({LABEL_RUN: run["metadata"]["name"]})
        return [pod for pod in pods if datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) >= since]

    def labelled(self, labels: dict[str, str]) -> list[Raw]:
        """Return the pods with these labels, the oldest first.

        Raises:
            Problem: the cluster does not tell.
        """
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        with asking("list the pods"):
            found = self._connection.request("GET", self._path("pods"), query={"labelSelector": selector})
        pods: list[Raw] = found["items"]
        return sorted(pods, key=lambda pod: (str(pod["metadata"]["creationTimestamp"]), pod["metadata"]["name"]))

    def _path(self, plural: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/{plural}"

    def events(self, run: str) -> list[Raw]:
        """Return the events of what belongs to a run, the oldest first.

        Args:
            run: name of the FlowRun: names of its children begin with it.

        Raises:
            Problem: the cluster does not tell.
        """
        with asking("list the events"):
            found = self._connection.request("GET", self._path("events"))
        ours = [event for event in found["items"] if _is_of(event["involvedObject"].get("name", ""), run)]
        return sorted(ours, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))

    def log(
        self, pod: str, since_s: int | None = None, *, tail: int | None = None, follow: bool = True
    ) -> Iterator[tuple[str, str]]:
        """Read the log of a pod, by default to its end, or until it is silent for a minute.

        Args:
            pod: its name.
            since_s: how far back to begin, in seconds; None: at the beginning.
            tail: begin with so many lines that there are; None: with all.
            follow: also lines that are still to come.

        Yields:
            time and text of a line; of one that the kubelet itself has to say the time is empty.

        Raises:
            Problem: the cluster does not give it, or not any more.
        """
        query = {
            "container": MAIN_CONTAINER,
            "follow": "true" if follow else "",
            "timestamps": "true",
            "sinceSeconds": None if since_s is None else max(1, since_s),
            "tailLines": tail,
        }
        with asking(f"logs of pod {pod}"), suppress(ReadTimeoutError):
            stream = self._connection.stream(f"{self._path('pods')}/{pod}/log", query, _SILENCE_S)
            with stream:
                for line in _lines(stream):
                    time, _, text = line.partition(" ")
                    yield (time, text) if time[:4].isdigit() else ("", line)


def _is_of(name: str, run: str) -> bool:
    return name == run or name.startswith(f"{run}-")


def _lines(stream: Any) -> Iterator[str]:
    rest = b""
    for chunk in iter(functools.partial(stream.read1, 65536), b""):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")
