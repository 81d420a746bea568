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
# A server may ask for any wait; a run must not stand still for long because of one answer.
_MAX_ASKED_S = 60.0


def back_off_s(failures: int, asked_s: float = 0.0) -> float:
    """Return after how many seconds a key that has failed is tried again.

    Args:
        failures: How often it had failed before, in a row.
        asked_s: The wait that the API server asked for, in seconds.
    """
    return max(min(_MAX_S, _BASE_S * 2.0 ** min(failures, 12)), min(_MAX_ASKED_S, asked_s))


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
        # Until when the API server has asked not to be bothered, by key; an event is no reason to do it all the same.
        self._not_before: dict[Key, float] = {}
        self._wake = asyncio.Event()
        # A standby takes no keys: nobody works on them, and those of objects long deleted would pile up.
        self.accepting = True

    def __len__(self) -> int:
        return len(self._due)

    def put(self, key: Key, delay_s: float = 0.0) -> None:
        """Make a key due; an earlier due time wins, but the wait that the API server asked for is kept.

        Args:
            key: What to reconcile.
            delay_s: Seconds from now.
        """
        if not self.accepting:
            return
        due = max(self._clock() + delay_s, self._not_before.get(key, 0.0))
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        if key not in self._busy:
            self._push(key, due)

    def put_failed(self, key: Key, asked_s: float = 0.0) -> float:
        """Make a key that was got, and not given back yet, due after its back-off.

        Args:
            key: What could not be reconciled.
            asked_s: The wait that the API server asked for, in seconds.

        Returns:
            The delay in seconds.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        wait_s = back_off_s(failures, asked_s)
        if asked_s > 0:
            # Not the whole back-off: an event may cut that short, as ever.
            self._not_before[key] = self._clock() + min(wait_s, asked_s)
            self._due.pop(key, None)  # put meanwhile, and due too early
        self.put(key, wait_s)
        return wait_s

    def succeeded(self, key: Key) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)
        self._not_before.pop(key, None)

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
                # Not wait_for: before Python 3.12 it loses a cancellation that comes together with a key, and an
                # operator that has lost its Lease would then never end.
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
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
