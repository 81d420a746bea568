"""How far the task runs of this process have come, for whoever shows it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Counts of task runs."""

    submitted: int = 0
    ended: int = 0
    """In whatever state."""
    lost: int = 0
    """Of those that have ended: the cluster could not run them, or lost them."""

    @property
    def outstanding(self) -> int:
        """Submitted and not ended."""
        return self.submitted - self.ended

    def __str__(self) -> str:
        lost = f", {self.lost} lost" if self.lost else ""
        return f"{self.submitted} submitted, {self.ended} ended{lost}"


class Counter:
    """Counts the task runs of one runner, and of the process."""

    def __init__(self, parent: Counter | None = None) -> None:
        """Begin at nothing.

        Args:
            parent: counts the same ones too.
        """
        self._parent = parent
        self._lock = threading.Lock()
        self._progress = Progress()

    @property
    def progress(self) -> Progress:
        """The counts as they are now."""
        return self._progress

    def add(self, *, submitted: int = 0, ended: int = 0, lost: int = 0) -> None:
        """Count.

        Args:
            submitted: more task runs that were submitted.
            ended: more task runs that have ended.
            lost: more task runs that were lost.
        """
        with self._lock:
            now = self._progress
            self._progress = Progress(now.submitted + submitted, now.ended + ended, now.lost + lost)
        if self._parent is not None:
            self._parent.add(submitted=submitted, ended=ended, lost=lost)


of_this_process = Counter()


def announce(say: Callable[[str], None], interval_s: float = 10.0) -> None:
    """Have the counts of this process said whenever they have changed, from a thread that ends with the process.

    Args:
        say: takes a line.
        interval_s: seconds between two looks.
    """

    def watch() -> None:
        said = Progress()
        while not never.wait(interval_s):
            if (now := of_this_process.progress) != said:
                say(f"task runs: {now}")
                said = now

    never = threading.Event()
    threading.Thread(target=watch, name="flowrun-progress", daemon=True).start()
