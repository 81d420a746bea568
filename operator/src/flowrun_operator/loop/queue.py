"""A keyed work queue: every key at most once in it and with one worker at a time, delayed puts, back-off per key.

The idea is that of client-go's work queue and dask-gateway's: events only say *that* something changed; work is done
once for many of them, and never twice at once for one object.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

from flowrun_operator.loop.keys import Key

_BASE_S = 0.2
_MAX_S = 30.0


class WorkQueue:
    """Keys waiting to be reconciled."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[Key, float] = {}
        # Entries that no longer agree with `_due` were overtaken by an earlier put and are skipped.
        self._heap: list[tuple[float, int, Key]] = []
        self._tie = itertools.count()
        self._busy: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._wake = asyncio.Event()
        # A standby takes no keys: nobody works on them, and those of objects long deleted would pile up.
        self.accepting = True

    def __len__(self) -> int:
        return len(self._due)

    def put(self, key: Key, delay_s: float = 0.0) -> None:
        """Make a key due; an earlier due time wins.

        Args:
            key: What to reconcile.
            delay_s: Seconds from now.
        """
        if not self.accepting:
            return
        due = self._clock() + delay_s
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        if key not in self._busy:
            self._push(key, due)

    def put_failed(self, key: Key) -> float:
        """Make a key due after its back-off and return the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay_s = min(_MAX_S, _BASE_S * 2.0 ** min(failures, 12))
        self.put(key, delay_s)
        return delay_s

    def succeeded(self, key: Key) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    async def get(self) -> Key:
        """Wait for the next due key that no other worker holds. Give it back with `done`."""
        while True:
            self._wake.clear()
            now = self._clock()
            while self._heap and self._heap[0][0] <= now:
                due, _, key = heapq.heappop(self._heap)
                if self._due.get(key) == due and key not in self._busy:
                    del self._due[key]
                    self._busy.add(key)
                    return key
            wait_s = self._heap[0][0] - now if self._heap else None
            try:
                await asyncio.wait_for(self._wake.wait(), timeout=wait_s)
            except TimeoutError:
                continue

    def done(self, key: Key) -> None:
        """Give a key back; if it became due meanwhile another worker may take it now."""
        self._busy.discard(key)
        if key in self._due:
            self._push(key, self._due[key])

    def _push(self, key: Key, due: float) -> None:
        heapq.heappush(self._heap, (due, next(self._tie), key))
        self._wake.set()
