"""What the tasks do. The workers import it, so it imports nothing that costs."""

from __future__ import annotations

import os
import time

LINE = "printed by task"
NAP_S = 0.1


def trivial(number: int) -> int:
    return number


def size(number: int, data: bytes) -> int:
    """Take a number too: the calls are distinct even if the data is not."""
    del number
    return len(data)


def step(value: int) -> int:
    return value + 1


def speak(number: int) -> int:
    print(f"{LINE} {number}")
    return number


def nap(number: int) -> int:
    """Keep a worker busy for a moment, so that the others get tasks as well; return who it was."""
    del number
    time.sleep(NAP_S)
    return os.getpid()
