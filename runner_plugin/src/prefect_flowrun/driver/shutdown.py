"""The end that is forced on a run: SIGTERM from outside, a lost coordinator, or a cancellation in Prefect.

All take the same road. Normally the main thread ends the flow: Prefect's engine (or, outside a flow, our handler)
raises an exception there, the state is reported and hooks run. But the main thread may be deep in a C call, or wait
for task threads that can't be interrupted, so a watchdog thread gives it a short time and then ends the run itself.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from flowrun_api.contract import Reason

# The result has to be out within about 3 s of the signal.
MAIN_THREAD_GRACE_S = 1.5
# More for a run that a user has cancelled: his on_cancellation hooks run in the main thread.
CANCELLATION_HOOKS_S = 2.5


class Terminated(BaseException):
    """Raised in the main thread by SIGTERM while Prefect's own handler is not in place."""


@dataclass(frozen=True)
class Cause:
    """Why the run is being ended."""

    reason: Reason
    message: str


class Shutdown:
    """Notices the forced end, and sees to it that it happens."""

    def __init__(self) -> None:
        self.cause: Cause | None = None
        self._lock = threading.Lock()
        self._finisher: int | None = None
        self._force: Callable[[Cause], None] | None = None
        self._main_may_raise = True

    def install_handler(self) -> None:
        """Install the SIGTERM handler; first thing, since PID 1 ignores a signal that it has no handler for."""
        signal.signal(signal.SIGTERM, self._raise_in_main)

    def start_watching(self) -> None:
        """Start the thread that learns of signals even while the main thread runs no Python code.

        Processes forked from now on are the user's, and none of this is theirs.
        """
        # The C-level handler writes the signal's number here whichever Python handler is installed at the time.
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=self._forget_in_child)
        threading.Thread(target=self._watch, args=(reader,), name="flowrun-shutdown", daemon=True).start()

    def request(self, reason: Reason, message: str) -> None:
        """End the run.

        Args:
            reason: for the result; the first request counts.
            message: for the result and for Prefect.
        """
        with self._lock:
            self.cause = self.cause or Cause(reason, message)
        os.kill(os.getpid(), signal.SIGTERM)

    def terminated(self) -> Cause:
        """Note that SIGTERM has come, and return the cause: this or an earlier one."""
        self.cause = self.cause or Cause(Reason.TERMINATED, "The driver was told to stop (SIGTERM)")
        return self.cause

    def cancelled(self) -> Cause:
        """Note that a user has asked for the end, whatever else has been, and return the cause."""
        self.cause = Cause(Reason.FLOW_CANCELLED, "The flow run was cancelled in Prefect")
        return self.cause

    def cancel(self) -> None:
        """End the run because a user has cancelled it."""
        self.request(Reason.FLOW_CANCELLED, "The flow run was cancelled in Prefect")

    def on_force(self, force: Callable[[Cause], None]) -> None:
        """Say what to do when the main thread does not end the run in time.

        Args:
            force: called in the watchdog's thread; ends the process.
        """
        self._force = force

    def claim_finish(self) -> None:
        """Become the thread that ends the process. A thread that comes second never returns from here."""
        self._main_may_raise = False
        with self._lock:
            if self._finisher in (None, threading.get_ident()):
                self._finisher = threading.get_ident()
                return
        threading.Event().wait()

    def _raise_in_main(self, _number: int, _frame: FrameType | None) -> None:
        if self._main_may_raise:
            raise Terminated

    def _watch(self, reader: int) -> None:
        while signal.SIGTERM not in os.read(reader, 64):
            pass
        with self._lock:
            self.terminated()
        time.sleep(MAIN_THREAD_GRACE_S)
        if self.cause is not None and self.cause.reason is Reason.FLOW_CANCELLED and self._finisher is None:
            time.sleep(CANCELLATION_HOOKS_S)
        self._end_by_force()

    def _end_by_force(self) -> None:
        if self._finisher is None and self._force is not None and self.cause is not None:
            self._force(self.cause)

    def _forget_in_child(self) -> None:
        # A forked child (multiprocessing) shares the pipe: its SIGTERM must not end the run.
        self._main_may_raise = False
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(-1)
            if signal.getsignal(signal.SIGTERM) == self._raise_in_main:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
