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
