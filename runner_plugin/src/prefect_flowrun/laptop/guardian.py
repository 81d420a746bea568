"""A process that ends a run's processes when the command itself was killed.

Each of them leads a session: Ray's task processes have groups of their own, and outlive their node by seconds. It
reads what to watch from a pipe, a line each: `+PID`, `*PID` for one that the others need to their end (Prefect's
server), and `-PID`. The pipe ends with the command, in whatever way that goes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# A driver has as long in a pod.
_GRACE_S = 8.0
_POLL_S = 0.05
_KILL_S = 0.01


class Guardian:
    """The command's end of it."""

    def __init__(self, folder: Path) -> None:
        """Start it.

        Args:
            folder: of the run, removed if the command can't.
        """
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def watch(self, pid: int, *, last: bool = False) -> None:
        """End a session with the command.

        Args:
            pid: of its leader.
            last: once the others have ended.
        """
        self._tell(f"{'*' if last else '+'}{pid}\n")

    def forget(self, pid: int) -> None:
        """Leave a session alone, which has ended.

        Args:
            pid: of its leader.
        """
        self._tell(f"-{pid}\n")

    def close(self) -> None:
        """Let it go: all has ended."""
        with self._lock, suppress(OSError):
            assert self._process.stdin is not None  # noqa: S101 - it was started so
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        with self._lock, suppress(OSError, ValueError):
            assert self._process.stdin is not None  # noqa: S101
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()


def main(folder: str) -> None:
    """Watch until the pipe ends, then end what is left.

    Args:
        folder: of the run.
    """
    first: set[int] = set()
    last: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        if line[0] == "-":
            first.discard(pid)
            last.discard(pid)
        else:
            (last if line[0] == "*" else first).add(pid)
    if not first | last:
        return
    _end(first)
    _end(last)
    shutil.rmtree(folder, ignore_errors=True)


def _end(leaders: set[int]) -> None:
    """End sessions: SIGTERM, and SIGKILL for what is left after the grace."""
    # The leaders only: a driver ends what it has started, and tells Prefect before.
    for pid in leaders:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_S
    while any(map(session, leaders)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    for pid in leaders:
        end_session(pid)


def end_session(leader: int) -> None:
    """End at once whatever is left of a session.

    Args:
        leader: number of the process that it began with, which may have ended.
    """
    while left := session(leader):
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_KILL_S)


def session(leader: int) -> list[int]:
    """Return the processes of a session that have not ended.

    Args:
        leader: number of the process that it began with, which may have ended.
    """
    return [pid for pid in _processes() if _session_of(pid) == leader]


def _processes() -> Iterator[int]:
    if (proc := Path("/proc")).is_dir():
        for each in proc.iterdir():
            if each.name.isdecimal() and not _is_zombie(each):
                yield int(each.name)
        return
    listed = subprocess.run(["ps", "-axo", "pid=,stat="], capture_output=True, text=True, check=False)
    for pid, state in map(str.split, listed.stdout.splitlines()):
        if not state.startswith("Z"):
            yield int(pid)


def _is_zombie(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return -1


if __name__ == "__main__":
    main(sys.argv[1])
