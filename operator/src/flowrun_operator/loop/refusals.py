"""Refused creates are not repeated at once: a quota that is used up would be asked again and again."""

from __future__ import annotations

import time
from collections.abc import Callable

_BASE_S = 1.0
_MAX_S = 15.0
_MAX_KEPT = 10_000

Where = tuple[str, str]


class Refusals:
    """When a refused create, by namespace and name, may be tried again."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, base_s: float = _BASE_S, longest_s: float = _MAX_S
    ) -> None:
        """Begin with none.

        Args:
            clock: in seconds.
            base_s: wait after the first refusal; each one more doubles it.
            longest_s: the longest wait.
        """
        self.clock = clock
        self._base_s, self._longest_s = base_s, longest_s
        self._counts: dict[Where, int] = {}
        self._not_before: dict[Where, float] = {}

    def others(self, base_s: float, longest_s: float) -> Refusals:
        """Return some that are kept apart, by the same clock.

        Args:
            base_s: as in the constructor.
            longest_s: as in the constructor.
        """
        return Refusals(self.clock, base_s, longest_s)

    def waits(self, where: Where) -> bool:
        """Return whether it is too early to try again."""
        return self.clock() < self._not_before.get(where, 0.0)

    def wait_s(self, where: Where) -> float:
        """Return the seconds until it may be tried again; 0 if it may be now."""
        return max(0.0, self._not_before.get(where, 0.0) - self.clock())

    def refused(self, where: Where) -> None:
        """Note a refusal; each doubles the wait."""
        count = self._counts.pop(where, 0)
        self._counts[where] = count + 1
        self._not_before[where] = self.clock() + min(self._longest_s, self._base_s * 2.0 ** min(count, 10))
        while len(self._counts) > _MAX_KEPT:  # of runs long deleted
            self.accepted(next(iter(self._counts)))

    def accepted(self, where: Where) -> None:
        """Forget the refusals of a name."""
        self._counts.pop(where, None)
        self._not_before.pop(where, None)
