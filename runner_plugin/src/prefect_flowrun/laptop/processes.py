"""Processes of a run: each leads a session of its own, which ends with it, and their lines are passed on."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import IO

from prefect_flowrun.laptop.commands import Command
from prefect_flowrun.laptop.guardian import Guardian, end_session

_POLL_S = 0.02
_PUMP_REST_S = 1.0


class Process:
    """A process, and what it has started."""

    def __init__(
        self, command: Command, say: Callable[[str], None], guardian: Guardian, *, needed_by_others: bool = False
    ) -> None:
        """Start it.

        Args:
            command: what is started.
            say: takes each line that it writes.
            guardian: ends it if this process can't.
            needed_by_others: it ends after them then.

        Raises:
            OSError: it can't be started.
        """
        self._process = subprocess.Popen(
            command.argv,
            env=command.env,
            cwd=command.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is the command's alone
        )
        guardian.watch(self._process.pid, last=needed_by_others)
        self._guardian = guardian
        self._pump = threading.Thread(target=_pump, args=(self._process.stdout, say), daemon=True)
        self._pump.start()
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float) -> None:
        """Wait for its end.

        Args:
            timeout_s: longest wait.
        """
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)

    def terminate(self) -> None:
        """Ask it to end; what it has started is its own to end."""
        if self.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def end_session(self) -> None:
        """End at once it and what is left of what it has started, and wait for its last lines."""
        end_session(self.pid)
        self._process.wait()
        self._pump.join(_PUMP_REST_S)
        self._guardian.forget(self.pid)


def end_all(processes: Iterable[Process], grace_s: float) -> None:
    """End processes: SIGTERM, and SIGKILL for what is left after the grace.

    Args:
        processes: in whatever state.
        grace_s: seconds for all of them together.
    """
    processes = list(processes)
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + grace_s
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    for process in processes:
        process.end_session()


def _pump(source: IO[bytes], say: Callable[[str], None]) -> None:
    for line in source:
        say(line.decode(errors="replace").rstrip("\n"))
