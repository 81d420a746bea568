"""Ctrl-C: the first asks the run to end, the second ends the command."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# The way out of a shell's command that was interrupted: 128 + SIGINT.
EXIT_INTERRUPTED = 130
_STEP_S = 0.05


class Interrupts:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.asked = False

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until Ctrl-C is pressed for the first time.

        Args:
            seconds: longest time.
        """
        # No Event: its lock might be held in this very thread when the signal comes.
        before, end = self.asked, time.monotonic() + seconds
        while self.asked == before and (left_s := end - time.monotonic()) > 0:
            time.sleep(min(left_s, _STEP_S))

    def take(self, _number: int, _frame: FrameType | None) -> None:
        """Take a signal.

        Raises:
            KeyboardInterrupt: it is the second.
        """
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def caught() -> Iterator[Interrupts]:
    """Have Ctrl-C, and SIGTERM as CI systems send it, counted instead of ending the process.

    A hangup is not: a terminal that is closed, or a laptop that sleeps, leaves the run alone.
    """
    interrupts = Interrupts()
    before = {number: signal.signal(number, interrupts.take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
