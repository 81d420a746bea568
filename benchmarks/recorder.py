"""What happens in the namespace of the runs, and when: watches and container logs, each in a thread of its own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import urllib3
from kube import ApiError, Kube, Raw, path_of

KINDS = ("pods", "services", "jobs", "deployments", "taskclusters", "flowruns", "daskclusters", "daskworkergroups")
# What stays after a run as its record.
RECORDS = ("jobs", "flowruns")
Predicate = Callable[[Raw], bool]


@dataclass
class Seen:
    """An event as it arrived."""

    at: float
    kind: str
    type: str
    object: Raw


@dataclass
class Recorder:
    """Follows one namespace from `start` to the end of the program."""

    kube: Kube
    namespace: str
    kinds: tuple[str, ...] = KINDS
    events: list[Seen] = field(default_factory=list)
    logs: dict[str, list[str]] = field(default_factory=dict)
    _present: dict[tuple[str, str], Raw] = field(default_factory=dict)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def start(self) -> None:
        """Start one watch per kind."""
        for kind in self.kinds:
            threading.Thread(target=self._watch, args=(kind,), daemon=True).start()

    def clear(self) -> None:
        """Forget the past; what is present stays known."""
        with self._news:
            self.events.clear()
            self.logs.clear()

    def present(self, kind: str, predicate: Predicate | None = None) -> list[Raw]:
        with self._news:
            found = [value for (of_kind, _), value in self._present.items() if of_kind == kind]
        return [value for value in found if predicate is None or predicate(value)]

    def leftovers(self) -> list[str]:
        """Everything but the record: Jobs, their pods, and FlowRuns."""
        with self._news:
            return [
                f"{kind}/{name}"
                for (kind, name), value in self._present.items()
                if kind not in RECORDS and not _belongs_to_job(value)
            ]

    def wait(self, check: Callable[[], Any], timeout_s: float, what: str) -> Any:
        """Check at every event (and at least once a second) until true; TimeoutError after `timeout_s`."""
        end = time.monotonic() + timeout_s
        while True:
            value = check()
            if value:
                return value
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"not within {timeout_s:g} s: {what}")
            with self._news:
                self._news.wait(min(left, 1.0))

    def first(self, kind: str, predicate: Predicate, type_: str | None = None) -> float | None:
        """When the first event came whose object satisfies the predicate."""
        return next((e.at for e in self._matching(kind, predicate, type_)), None)

    def last_deleted(self, kind: str | None, predicate: Predicate) -> float | None:
        """When the last matching object went."""
        times = [e.at for e in self._matching(kind, predicate, "DELETED") if e.kind not in RECORDS]
        return max(times, default=None)

    def _matching(self, kind: str | None, predicate: Predicate, type_: str | None) -> list[Seen]:
        with self._news:
            events = list(self.events)
        return [
            e for e in events if kind in (None, e.kind) and (type_ is None or e.type == type_) and predicate(e.object)
        ]

    def follow_log(self, pod: str) -> None:
        """Collect the log of a running pod; every line begins with its time."""
        if pod not in self.logs:
            self.logs[pod] = []
            threading.Thread(target=self._follow, args=(pod, self.logs[pod]), daemon=True).start()

    def _follow(self, pod: str, lines: list[str]) -> None:
        path = path_of("pods", self.namespace, pod) + "/log"
        try:
            for line in self.kube.stream(path, 600.0, follow="true", timestamps="true"):
                lines.append(line.decode(errors="replace"))
                with self._news:
                    self._news.notify_all()
        except (ApiError, urllib3.exceptions.HTTPError) as error:
            lines.append(f"- log ended: {error}")

    def _watch(self, kind: str) -> None:
        while True:
            try:
                listed = self.kube.request("GET", path_of(kind, self.namespace))
                self._take_list(kind, {item["metadata"]["name"]: item for item in listed["items"]})
                version = listed["metadata"]["resourceVersion"]
                for line in self.kube.stream(
                    path_of(kind, self.namespace), 3600.0, watch="true", resourceVersion=version
                ):
                    self._take(kind, json.loads(line))
            except (ApiError, urllib3.exceptions.HTTPError):
                time.sleep(0.5)

    def _take_list(self, kind: str, items: dict[str, Raw]) -> None:
        # After a watch has ended: what went meanwhile is noted now, what came is only known.
        with self._news:
            gone = [name for (of_kind, name) in self._present if of_kind == kind and name not in items]
            self._present.update({(kind, name): item for name, item in items.items()})
        for name in gone:
            self._take(kind, {"type": "DELETED", "object": self._present[kind, name]})

    def _take(self, kind: str, event: Raw) -> None:
        now = time.time()
        if event["type"] not in {"ADDED", "MODIFIED", "DELETED"}:
            return
        key = (kind, event["object"]["metadata"]["name"])
        with self._news:
            self.events.append(Seen(now, kind, event["type"], event["object"]))
            if event["type"] == "DELETED":
                self._present.pop(key, None)
            else:
                self._present[key] = event["object"]
            self._news.notify_all()


def label(object_: Raw, name: str) -> str:
    return (object_["metadata"].get("labels") or {}).get(name, "")


def phase(pod: Raw) -> str:
    return pod.get("status", {}).get("phase", "")


def _belongs_to_job(object_: Raw) -> bool:
    return any(owner["kind"] == "Job" and object_["kind"] == "Pod" for owner in _owners(object_))


def _owners(object_: Raw) -> list[Raw]:
    # Items of a list have no kind of their own.
    object_.setdefault("kind", "Pod" if "containers" in object_.get("spec", {}) else "")
    return object_["metadata"].get("ownerReferences") or []
