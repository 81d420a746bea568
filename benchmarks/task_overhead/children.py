"""Processes that the benchmark starts: each ends with it, and takes its descendants along."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from task_overhead import cpu

STOP_S = 10.0
POLL_S = 0.1
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

Process = subprocess.Popen[bytes]


@contextlib.contextmanager
def child(command: Sequence[str], env: Mapping[str, str], log: Path, cwd: Path) -> Iterator[Process]:
    """Start a process, and stop it and its descendants at the end, in whatever way that comes.

    Args:
        command: its command line.
        env: its whole environment.
        log: takes its output.
        cwd: its working directory.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for us, who stop them in order
            preexec_fn=_end_with_us,  # noqa: PLW1509 - the benchmark has no threads
        )
    try:
        yield process
    finally:
        _stop(process)


def wait_until(ready: Callable[[], bool], process: Process, log: Path, timeout_s: float) -> None:
    """Wait until a process is ready.

    Args:
        ready: asked again and again.
        process: has failed if it ends.
        log: of the process, for the message.
        timeout_s: longest wait.

    Raises:
        RuntimeError: the process ended, or the time is up.
    """
    deadline = time.monotonic() + timeout_s
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{log.stem} did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(POLL_S)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_us() -> None:
    # Even if this process is killed: a forgotten server would disturb every later measurement.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(process: Process) -> None:
    # A pid may be taken by another process once its own has ended; a pidfd never means another one.
    family = []
    for pid in cpu.tree(process.pid):
        with contextlib.suppress(ProcessLookupError):
            family.append(os.pidfd_open(pid))
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    for member in family:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(member, signal.SIGKILL)
        os.close(member)
    process.wait()
