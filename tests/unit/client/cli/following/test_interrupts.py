"""Ctrl-C, once and twice."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from flowrun.cli.following.interrupts import caught


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_noted_and_the_second_ends(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), caught() as interrupts:
        assert not interrupts.asked
        os.kill(os.getpid(), number)
        assert interrupts.asked
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_the_first_ends_a_sleep() -> None:
    with caught() as interrupts:
        threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
        started = time.monotonic()
        interrupts.sleep(250)
        assert interrupts.asked
        assert time.monotonic() - started < 200
