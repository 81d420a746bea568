"""One thing that was looked at, and how that reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from flowrun.problem import Problem


class Level(StrEnum):
    """How it stands."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """What was found, and for anything but `ok` what to do."""

    level: Level
    text: str
    todo: str = ""

    def __str__(self) -> str:
        return f"{self.level.value:<5}{self.text}" + (f"; {self.todo}" if self.todo else "")


def ok(text: str) -> Finding:
    """Return that all is well with something."""
    return Finding(Level.OK, text)


def note(text: str, todo: str = "") -> Finding:
    """Return that something could not be looked at, or may be meant."""
    return Finding(Level.NOTE, text, todo)


def bad(text: str, todo: str = "") -> Finding:
    """Return that something will not work."""
    return Finding(Level.BAD, text, todo)


def told(findings: Iterable[Finding], say: Callable[[str], None]) -> bool:
    """Print findings as they come, and return whether none is bad.

    Args:
        findings: one after the other.
        say: prints a line.
    """
    good = True
    for finding in findings:
        say(str(finding))
        good = good and finding.level is not Level.BAD
    return good


def problem_as_note(look: Callable[[], Iterable[Finding]], what: str) -> list[Finding]:
    """Return what was found, or that it could not be looked at.

    Args:
        look: looks.
        what: is looked at.
    """
    try:
        return list(look())
    except Problem as problem:
        return [note(f"{what}: not known", str(problem))]
