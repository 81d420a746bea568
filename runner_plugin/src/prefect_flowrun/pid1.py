"""PID 1 of the driver's container.

PID 1 inherits the orphans of every process in the container and must reap them, and it can't tell them from children
that the user's code has started and will wait for itself. So it does nothing else: the driver proper is its child.
"""

from __future__ import annotations

import contextlib
import os
import signal

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def split_off_driver() -> None:
    """Fork; return in the child, and in the parent reap and forward signals until the child ends, then exit alike.

    Must be called before threads exist and before the heavy imports: the parent stays small then.
    """
    # Blocked across the fork: a signal in between is delivered once somebody listens.
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    driver = os.fork()
    if driver == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        return
    for number in _FORWARDED:
        signal.signal(number, lambda received, _: _forward(driver, received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
    os._exit(_reap_until(driver))


def _forward(driver: int, number: int) -> None:
    # It may just have ended; the loop below is about to notice.
    with contextlib.suppress(ProcessLookupError):
        os.kill(driver, number)


def _reap_until(driver: int) -> int:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == driver:
            code = os.waitstatus_to_exitcode(status)
            # As shells and container runtimes report a death by signal.
            return code if code >= 0 else 128 - code
