"""Ctrl-C: the first asks the run to end, the second ends the command."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# The way out of a shell's command that was interrupted: 128 + SIGINT.
EXIT_INTERRUPTED = 130


class Interrupts:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    @property
    def asked(self) -> bool:
        """Whether it was."""
        return self._asked.is_set()

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until Ctrl-C is pressed for the first time.

        Args:
            seconds: longest time.
        """
        if self.asked:
            time.sleep(seconds)
        else:
            self._asked.wait(seconds)

    def take(self, _number: int, _frame: FrameType | None) -> None:
        """Take a signal.

        Raises:
            KeyboardInterrupt: it is the second.
        """
        if self.asked:
            raise KeyboardInterrupt
        self._asked.set()


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
