"""Have every process of a node that has run tasks send its logs and events.

Ray can send a task to a node, but not to a certain process. So each process that runs tasks listens on a socket of its
own in a folder of the node, and one task per node goes through the folder.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from multiprocessing import connection
from pathlib import Path
from typing import Any

from ray._private import worker as ray_worker

from prefect_flowrun.worker import running
from prefect_flowrun.worker.drain import drain_process, flush_process

# Ray ends processes that have been idle for a second if there are more than CPUs, and does not wait for them for long.
EXIT_TIMEOUT_S = 2.0


def listen() -> None:
    """Answer to `drain_node` from now on, and send what is left if this process ends before."""
    atexit.register(drain_process, EXIT_TIMEOUT_S)
    path = _folder() / str(os.getpid())
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.unlink(missing_ok=True)  # of an earlier process with this number
    listener = connection.Listener(str(path), family="AF_UNIX")
    threading.Thread(target=_serve, args=(listener,), name="flowrun-drain", daemon=True).start()


def drain_node(timeout: float) -> list[str]:
    """Drain the processes of this node. Runs as a task of Ray's.

    Args:
        timeout: seconds; processes that do not answer are passed over.

    Returns:
        Ids of the task runs that go on there.
    """
    deadline = time.monotonic() + timeout
    folder = _folder()
    answers: list[Any] = []
    going_on: list[str] = []
    for path in folder.iterdir() if folder.exists() else ():
        with contextlib.suppress(OSError):  # that process is gone
            answer = connection.Client(str(path), family="AF_UNIX")
            answer.send_bytes(str(timeout).encode())
            answers.append(answer)
    while answers and (left := deadline - time.monotonic()) > 0:
        # An answer, or the end of the process.
        for ended in [answer for answer in connection.wait(answers, left) if isinstance(answer, connection.Connection)]:
            answers.remove(ended)
            with contextlib.suppress(OSError, EOFError):
                going_on += ended.recv_bytes().decode().split()
    return going_on


def _serve(listener: connection.Listener) -> None:
    while True:
        with contextlib.suppress(OSError, EOFError, ValueError), listener.accept() as asker:
            # Bytes, not objects: unpickling would let whoever reaches the socket run code.
            flush_process(float(asker.recv_bytes(64)))
            asker.send_bytes(" ".join(running.now()).encode())


def _folder() -> Path:
    return Path(ray_worker._global_node.get_session_dir_path()) / "flowrun"
