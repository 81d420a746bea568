"""Processes of a run on this host: only where the node is this machine (the bundled cluster), else nothing is found."""

from __future__ import annotations

import os
import select
import threading
import time
from pathlib import Path

DRIVER = (b"prefect_flowrun.driver", b"/flow.py\0")
WORKER = (b"distributed.cli.dask_worker", b"prefect_flowrun.engines.ray_worker", b"dask\0worker")


def find(run: str, commands: tuple[bytes, ...]) -> list[int]:
    """Return the pids of a run, in the order of their start.

    Args:
        run: value of BENCH_RUN in their environment.
        commands: parts of the command line, of which one must be there.
    """
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            command = (process / "cmdline").read_bytes()
            if not any(part in command for part in commands):
                continue
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if f"BENCH_RUN={run}\0".encode() in environment:
            found.append(int(process.name))
    return sorted(found)


# What a process is, by a part of its command line; the first that fits counts.
KINDS = (
    ("Dask scheduler", b"dask_coordinator"),
    ("Dask scheduler", b"distributed.cli.dask_scheduler"),
    ("Dask worker", b"dask_worker"),
    ("Ray head, GCS", b"gcs_server"),
    ("Ray raylet", b"raylet/raylet"),
    ("Ray task process", b"ray::"),
    ("Ray task process", b"default_worker.py"),
    ("Ray agent's stand-in", b"ray_agent.py"),
    ("Ray head, launcher", b"prefect_flowrun.engines.ray.head"),
    ("Ray worker, launcher", b"prefect_flowrun.engines.ray_worker"),
    ("driver", b"prefect_flowrun.driver"),
)


def cpu_seconds(run: str) -> dict[str, float]:
    """Return the CPU time of a run's live processes so far, with that of their ended children, by what they are.

    Args:
        run: value of BENCH_RUN in their environment.
    """
    found: dict[str, float] = {}
    for pid in find(run, (b"",)):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        kind = next((kind for kind, part in KINDS if part in command), "others")
        spent = sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")
        found[kind] = found.get(kind, 0.0) + spent
    return found


class Ends:
    """Notes when processes end."""

    def __init__(self, pids: list[int]) -> None:
        self.pids = pids
        self.at: dict[int, float] = {}
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def last(self, timeout_s: float = 0.0) -> float | None:
        """When the last of them ended; None if one still runs after the time-out, or there were none."""
        self._thread.join(timeout_s)
        return max(self.at.values()) if self.at and len(self.at) == len(self.pids) else None

    def _wait(self) -> None:
        poll = select.poll()
        pid_of = {}
        for pid in self.pids:
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                self.at[pid] = time.time()
                continue
            pid_of[descriptor] = pid
            poll.register(descriptor, select.POLLIN)
        while pid_of:
            for descriptor, _ in poll.poll():
                self.at[pid_of.pop(descriptor)] = time.time()
                poll.unregister(descriptor)
                os.close(descriptor)
