"""When the stages of a start were reached: one line in the driver's log at the end."""

from __future__ import annotations

import os
import time
from pathlib import Path

_marks: dict[str, float] = {}


def mark(stage: str) -> None:
    """Note that a stage is reached; only the first time counts.

    Args:
        stage: a few words.
    """
    _marks.setdefault(stage, time.time())


def summary() -> str:
    """List the stages in the order in which they were reached, in seconds since the process began."""
    began = _process_start()
    return ", ".join(f"{stage} {at - began:.2f}" for stage, at in _marks.items())


def _process_start() -> float:
    # The interpreter's own start belongs to the time that a user waits.
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):  # not Linux
        return next(iter(_marks.values()), time.time())
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")
