"""The workers of one cluster: as many as are wanted, and another one for each that was lost."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from prefect_flowrun.laptop.processes import Process, end_all

# Between the starts of a worker that does not stay: as the operator replaces one.
_BACKOFF_S = (0.0, 1.0, 5.0, 15.0, 30.0)
_AFTER_PEACE_S = 1.0
# One that has worked so long was lost by accident.
_STAYED_S = 30.0
# Workers leave by themselves when their coordinator has gone.
GRACE_S = 2.0


@dataclass
class _Failures:
    count: int = 0
    not_before: float = 0.0


class Fleet:
    """Methods may be called from any thread."""

    def __init__(self, start: Callable[[int], Process], wanted: int, *, elastic: bool) -> None:
        """Begin with nothing; `tend` starts workers.

        Args:
            start: starts the worker of an index.
            wanted: workers.
            elastic: the driver lets workers go by itself, when they have nothing left to do.
        """
        self._start = start
        self._wanted = wanted
        self._elastic = elastic
        self._lock = threading.Lock()
        self._workers: dict[int, Process] = {}
        self._failures: defaultdict[int, _Failures] = defaultdict(_Failures)
        self._closed = False

    @property
    def wanted(self) -> int:
        """How many workers there should be."""
        return self._wanted

    @property
    def alive(self) -> int:
        """How many workers run."""
        with self._lock:
            return sum(worker.poll() is None for worker in self._workers.values())

    def scale(self, wanted: int) -> None:
        """Change how many workers there should be.

        Args:
            wanted: workers.
        """
        self._wanted = wanted
        self.tend()

    def tend(self) -> None:
        """Start what is missing, and end what is too much."""
        with self._lock:
            if self._closed:
                return
            self._take_ended()
            for index in range(self._wanted):
                if len(self._workers) >= self._wanted:
                    break
                if index not in self._workers and time.monotonic() >= self._failures[index].not_before:
                    self._workers[index] = self._start(index)
            excess = sorted(self._workers)[self._wanted :]
        if excess and (not self._elastic or self._wanted == 0):
            self._end(excess)

    def close(self) -> None:
        """End all workers; none is started any more."""
        with self._lock:
            self._closed = True
        self._end(list(self._workers))

    def _take_ended(self) -> None:
        for index, worker in list(self._workers.items()):
            code = worker.poll()
            if code is None:
                continue
            worker.end_session()
            del self._workers[index]
            failures = self._failures[index]
            failures.count = 1 if time.monotonic() - worker.started > _STAYED_S else failures.count + 1
            pause_s = _BACKOFF_S[min(failures.count - 1, len(_BACKOFF_S) - 1)]
            # One that leaves in peace knows that its coordinator has gone: the driver is about to end, too.
            failures.not_before = time.monotonic() + (pause_s if code else _AFTER_PEACE_S)

    def _end(self, indices: list[int]) -> None:
        with self._lock:
            leaving = [self._workers.pop(index) for index in indices if index in self._workers]
        end_all(leaving, GRACE_S)
