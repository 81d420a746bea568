"""The place of a running task in its worker's thread pool, which it gives up while it waits for other tasks.

A worker of one thread would else wait for ever: the task that is waited for needs the thread of the one that waits.
Dask calls it to secede. Unlike `worker_client`, a task does not wait without limit for its place when it goes on: the
task that has it may run for hours, or itself wait for something that this one holds, say a concurrency limit.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import distributed
from distributed import threadpoolexecutor

REJOIN_PATIENCE_S = 20.0


def leave_pool() -> bool:
    """Leave the pool for good: the worker takes another task beside this one.

    Returns:
        Whether this thread has left it now. Not if it had before, or runs no task.
    """
    # KeyError: it had left. AttributeError: a thread of the user's, or the task of an actor.
    with contextlib.suppress(KeyError, AttributeError):
        distributed.secede()
        return True
    return False


@contextlib.contextmanager
def outside_pool() -> Iterator[None]:
    """Be outside of the pool meanwhile, and in it again afterwards, as soon as a thread is free."""
    left = leave_pool()
    try:
        yield
    finally:
        if left:
            _rejoin(REJOIN_PATIENCE_S)


def _rejoin(patience_s: float) -> None:
    executor: Any = getattr(threadpoolexecutor.thread_state, "executor", None)
    if not (hasattr(executor, "_rejoin_list") and hasattr(executor, "_rejoin_lock")):
        distributed.rejoin()  # the inside of distributed has changed: as it does it, without a limit
        return
    joined = threading.Event()
    place = (threading.current_thread(), joined)
    with executor._rejoin_lock:
        executor._rejoin_list.append(place)
    executor.submit(lambda: None)  # a thread that has nothing to do notices
    if not joined.wait(patience_s):
        with executor._rejoin_lock:
            if place in executor._rejoin_list:
                executor._rejoin_list.remove(place)
                return  # beside the pool until its end
    joined.wait()
    threadpoolexecutor.thread_state.proceed = True
