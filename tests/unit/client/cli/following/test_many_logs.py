"""Logs of many pods at once, from a cluster whose connections break and whose pods come and go."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from typing import Any

from flowrun.cli.following.many_logs import ManyLogs
from flowrun.cli.following.pod_log import Window
from flowrun.problem import Gone, Problem, Unreachable

Raw = dict[str, Any]
Line = tuple[str, str]


class Cluster:
    """Pods that write lines for a while, end, and are deleted some time after."""

    def __init__(self, pods: int, lines: int, *, breaks: float = 0.0) -> None:
        self.lines = {f"w-{pod}": [(f"2026-{n:06}", f"w-{pod} {n}") for n in range(lines)] for pod in range(pods)}
        self.started_at = {name: random.uniform(0, 0.5) for name in self.lines}
        self.born = time.monotonic()
        self.breaks = breaks
        self.lasts_s, self.stays_s = 1.0, 4.0

    def _age(self, name: str) -> float:
        return time.monotonic() - self.born - self.started_at[name]

    def look(self) -> list[Raw]:
        return [self._pod(name) for name in self.lines if 0 <= self._age(name) < self.lasts_s + self.stays_s]

    def _pod(self, name: str) -> Raw:
        state = "running" if self._age(name) < self.lasts_s else "terminated"
        statuses = [{"name": "flowrun", "state": {state: {"x": 1}}}]
        return {"metadata": {"name": name, "uid": name}, "status": {"containerStatuses": statuses}}

    def log(
        self, pod: str, since_s: int | None = None, *, tail: int | None = None, follow: bool = True
    ) -> Iterator[Line]:
        if self._age(pod) > self.lasts_s + self.stays_s:
            raise Gone(pod)
        told = 0
        lines = self.lines[pod]
        while told < len(lines):
            there = min(len(lines), int(len(lines) * self._age(pod) / self.lasts_s))
            for line in lines[told:there]:
                if random.random() < self.breaks:
                    raise Unreachable(f"{pod} does not answer")
                yield line
            told = there
            if not follow:
                return
            time.sleep(0.02)

    def is_over(self) -> bool:
        return time.monotonic() - self.born > self.lasts_s + 0.6


def follow(cluster: Cluster) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {}
    many = ManyLogs(cluster, cluster.look, lambda pod, line: said.setdefault(pod["metadata"]["name"], []).append(line))
    assert many.follow(cluster.is_over)
    return said


def test_no_line_of_a_hundred_workers_is_lost_or_told_twice() -> None:
    cluster = Cluster(pods=100, lines=100)
    assert follow(cluster) == {name: [text for _, text in lines] for name, lines in cluster.lines.items()}


def test_nor_where_connections_break() -> None:
    cluster = Cluster(pods=20, lines=200, breaks=0.002)
    said = follow(cluster)
    for name, lines in cluster.lines.items():
        assert [line for line in said[name] if not line.startswith("flowrun: ")] == [text for _, text in lines]


class Still:
    """Pods that have ended, and what is to be had of their logs."""

    def __init__(self, **logs: list[Line] | Problem) -> None:
        self.logs = logs

    def look(self) -> list[Raw]:
        statuses = [{"name": "flowrun", "state": {"terminated": {"x": 1}}}]
        return [
            {"metadata": {"name": name, "uid": name}, "status": {"containerStatuses": statuses}} for name in self.logs
        ]

    def log(
        self, pod: str, since_s: int | None = None, *, tail: int | None = None, follow: bool = True
    ) -> Iterator[Line]:
        found = self.logs[pod]
        if isinstance(found, Problem):
            raise found
        yield from found[-tail:] if tail else found


def test_what_there_is_comes_pod_after_pod_and_one_without_a_log_hides_no_other() -> None:
    said: list[str] = []
    still = Still(a=[("1", "a1"), ("2", "a2")], b=Problem("its node is gone"), c=[("1", "c1")])
    assert ManyLogs(still, still.look, lambda _pod, line: said.append(line), Window(tail=1)).read()
    assert said == ["a2", "flowrun: its node is gone", "c1"]


def test_without_pods_there_is_nothing_to_tell() -> None:
    still = Still()
    assert not ManyLogs(still, still.look, lambda _pod, _line: None).read()


def test_lines_of_several_pods_are_never_taken_at_the_same_time() -> None:
    inside = threading.Lock()

    def take(_pod: Raw, _line: str) -> None:
        assert inside.acquire(blocking=False)
        time.sleep(0.0001)
        inside.release()

    cluster = Cluster(pods=10, lines=50)
    assert ManyLogs(cluster, cluster.look, take).follow(cluster.is_over)
