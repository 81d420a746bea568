"""How many workers a cluster should have: the one place where that is decided, for all engines."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowrun_api.contract import ClusterContract


class BoundsError(ValueError):
    """A runner asks for more or fewer workers than the FlowRun allows its cluster."""


@dataclass(frozen=True)
class Bounds:
    """Fewest and most workers."""

    fewest: int
    most: int

    def clamp(self, workers: int) -> int:
        """Return the number within the bounds that is nearest to the given one."""
        return min(max(workers, self.fewest), self.most)


def bounds_of(cluster: ClusterContract) -> Bounds:
    """Return the bounds that the FlowRun sets for a cluster.

    Args:
        cluster: as the operator describes it.
    """
    # A contract made by hand may say no more than the number of workers.
    most = cluster.max_workers or cluster.workers
    return Bounds(min(cluster.min_workers, most) if cluster.max_workers else most, most)


def size(cluster: ClusterContract, asked: int | None) -> int:
    """Return how many workers a cluster starts with.

    Args:
        cluster: as the operator describes it.
        asked: by the runner; None means the FlowRun's number.

    Raises:
        BoundsError: the FlowRun does not allow so many, or so few.
    """
    if asked is None:
        return cluster.workers
    bounds = bounds_of(cluster)
    if bounds.clamp(asked) != asked:
        allowed = f"{bounds.fewest} to {bounds.most}" if bounds.fewest != bounds.most else f"exactly {bounds.most}"
        raise BoundsError(
            f"The task runner asks for {asked} workers of cluster {cluster.name!r}; the FlowRun allows {allowed}"
        )
    return asked


def wanted(outstanding: int, slots: int, bounds: Bounds) -> int:
    """Return how many workers would run all outstanding tasks at once, within the bounds.

    Args:
        outstanding: tasks that have not ended.
        slots: tasks that one worker runs at a time.
        bounds: of the cluster.
    """
    return bounds.clamp(math.ceil(outstanding / slots))


class Steady:
    """Follows a number up at once and down only after it has stayed low: the most of a window of time."""

    def __init__(self, window_s: float) -> None:
        """Begin with nothing seen.

        Args:
            window_s: how long a number holds.
        """
        self._window_s = window_s
        # Numbers fall and times rise: what a later, greater number outlasts is dropped when that one comes.
        self._peaks: deque[tuple[float, int]] = deque()

    def follow(self, now_s: float, number: int) -> int:
        """Take in the number of this moment and return the one to act on.

        Args:
            now_s: of a clock that never goes back.
            number: of this moment.
        """
        while self._peaks and self._peaks[-1][1] <= number:
            self._peaks.pop()
        self._peaks.append((now_s, number))
        while self._peaks[0][0] < now_s - self._window_s:
            self._peaks.popleft()
        return self._peaks[0][1]
