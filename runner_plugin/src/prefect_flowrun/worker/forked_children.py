"""Processes that a task or flow forks end at SIGTERM, as they would in a plain script.

Workers and drivers handle the signal themselves, and their children inherit how: Ray's and Prefect's handlers raise,
which is lost if the child has just begun, and asyncio's (Dask) tells the parent's event loop. `multiprocessing.Pool`
ends its processes by SIGTERM and then waits for them for ever (issue 11).
"""

from __future__ import annotations

import os
import signal
import threading
from functools import cache

_of_thread = threading.local()


@cache
def end_at_sigterm() -> None:
    """Have the children that this process forks from now on end at SIGTERM. Once per process."""
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_by_default)


def _hold() -> None:
    # A child may get the signal before it has run one line.
    _of_thread.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _of_thread.mask)


def _by_default() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    _release()
