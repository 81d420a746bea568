"""`log_prints` for tasks that run at the same time in one process.

Prefect replaces `builtins.print` for the time of a task and then puts back what it found. With several tasks at a time
the one that ends first puts the real `print` back while others go on, whose lines are lost; or the one that ends last
puts back another's. What Prefect puts there looks at the context of each call by itself, so it is enough to have it in
place while any task or flow wants it.
"""

from __future__ import annotations

import builtins
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prefect.logging import loggers

_lock = threading.Lock()
_users = 0
_original: Callable[..., Any] = builtins.print


@contextmanager
def shared_patch_print() -> Iterator[None]:
    """Have `print` look at the context of its caller for as long as anybody in this process wants that."""
    global _users, _original  # noqa: PLW0603 - builtins.print is one for the process
    with _lock:
        _users += 1
        if _users == 1:
            _original, builtins.print = builtins.print, loggers.print_as_log
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            # Not over what the user has put there meanwhile.
            if _users == 0 and builtins.print is loggers.print_as_log:
                builtins.print = _original


def share_prints() -> None:
    """Have Prefect's engines use `shared_patch_print`; does nothing where a version of Prefect has no such function."""
    if not hasattr(loggers, "print_as_log") or not hasattr(loggers, "patch_print"):
        return
    # Where it is imported from, and where it has been imported to.
    for name in ("prefect.logging.loggers", "prefect.task_engine", "prefect.flow_engine"):
        if (module := sys.modules.get(name)) is not None and hasattr(module, "patch_print"):
            vars(module)["patch_print"] = shared_patch_print


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
