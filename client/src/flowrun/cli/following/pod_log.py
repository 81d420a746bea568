"""The log of one pod, which may break off: it is read on where it did."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

# Lines reach us a moment after they were written; those that come twice are told by their times.
_OVERLAP_S = 5


class Source(Protocol):
    """Where logs are: `kube.pods.Pods`."""

    def log(
        self, pod: str, since_s: int | None = None, *, tail: int | None = None, follow: bool = True
    ) -> Iterator[tuple[str, str]]:
        """Give time and text of each line."""


@dataclass(frozen=True)
class Window:
    """Which of the lines that there are, are asked for.

    Args:
        since_s: those of the last so many seconds; None: whatever their age.
        tail: the last so many; None: all.
    """

    since_s: int | None = None
    tail: int | None = None


WHOLE = Window()


class PodLog:
    """One pod's log.

    Args:
        source: where it is read.
        pod: its name.
        take: takes a line.
        window: of the first reading.
    """

    def __init__(self, source: Source, pod: str, take: Callable[[str], None], window: Window = WHOLE) -> None:
        self._source = source
        self._pod = pod
        self._take = take
        self._window = window
        self._until = ""
        self._heard_at: float | None = None

    def read(self, *, follow: bool = True) -> None:
        """Give its lines, from where a reading before has ended.

        Args:
            follow: to the container's end; else only those that there are.

        Raises:
            Problem: the cluster does not give it, or not any more.
        """
        until, since_s, tail = self._until, self._window.since_s, self._window.tail
        if self._heard_at is not None:
            since_s, tail = int(time.monotonic() - self._heard_at) + _OVERLAP_S, None
        for at, text in self._source.log(self._pod, since_s, tail=tail, follow=follow):
            self._heard_at = time.monotonic()
            if at and at <= until:  # told before the log broke off
                continue
            self._until = max(at, self._until)
            self._take(text)
