"""What the flows of the conformance suite use. Workers can import it, as they can a user's package.

Tasks are defined inside the tests and so travel by value; classes that must be the same on both sides are here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

POLL_S = 0.02


@dataclass
class Point:
    """A dataclass, which may hold a future."""

    x: Any
    y: Any = 0


class Order(BaseModel):
    """A pydantic model."""

    item: str
    count: int = 1


class StockError(Exception):
    """An exception with an attribute of its own."""

    def __init__(self, item: str, missing: int = 0) -> None:
        super().__init__(item, missing)
        self.item = item
        self.missing = missing


class OneWayError(Exception):
    """Can be pickled, but not be made again: `args` is not what `__init__` takes."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"{code}: {detail}")


@dataclass
class Gate:
    """A file that a task waits for, so that a test decides when the task ends. Works across processes."""

    path: Path
    patience_s: float = 60
    """A task that nobody lets through fails, and with it the test."""

    def open(self) -> None:
        self.path.touch()

    def is_open(self) -> bool:
        return self.path.exists()

    def wait(self) -> None:
        deadline = time.monotonic() + self.patience_s
        while not self.is_open():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.path.name} was not opened within {self.patience_s:g} s")
            time.sleep(POLL_S)


@dataclass
class Tally:
    """Counts what happened, in whichever process: a file of its own per event."""

    folder: Path

    def add(self, name: str) -> int:
        """Note an event; return how many of this name there are now. Not for events at the same time."""
        count = self.count(name) + 1
        (self.folder / f"{name}.{count}").touch()
        return count

    def count(self, name: str) -> int:
        return len(list(self.folder.glob(f"{name}.*")))
