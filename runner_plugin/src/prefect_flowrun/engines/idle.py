"""A coordinator without a driver ends by itself when nobody has used it for a while."""

from __future__ import annotations

import os
import time

from flowrun_api import environment

# By which the launcher knows that it was no accident; not a code that Python or Ray uses.
IDLE_EXIT_CODE = 64


class Idleness:
    """Knows since when a cluster has not been used."""

    def __init__(self, limit_s: float) -> None:
        """Begin now: whoever made the cluster gets as long to attach to it.

        Args:
            limit_s: how long a cluster may be unused.
        """
        self._limit_s = limit_s
        self._last_use = time.monotonic()

    @classmethod
    def from_env(cls) -> Idleness | None:
        """Return the limit that the environment sets; None if it sets none."""
        limit = os.environ.get(environment.IDLE_SECONDS)
        return cls(float(limit)) if limit else None

    def is_over(self, *, used: bool) -> bool:
        """Tell whether the cluster has been unused for too long.

        Args:
            used: whether it is used at this moment.
        """
        now = time.monotonic()
        if used:
            self._last_use = now
        return now - self._last_use >= self._limit_s
