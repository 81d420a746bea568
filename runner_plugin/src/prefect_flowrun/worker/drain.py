"""Send the logs and events that Prefect still holds in this process, on a worker or in the driver."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def drain_process(timeout: float) -> None:
    """Send what is queued and wait for it; workers killed right after a flow lost 9 of 10 log lines without this.

    Prefect starts new queues by itself if the process goes on logging.

    Args:
        timeout: seconds to wait at most.
    """
    # A process that never imported them has nothing queued.
    services: list[Any] = [
        getattr(sys.modules[module], service)
        for module, service in (("prefect.logging.handlers", "APILogWorker"), ("prefect.events.worker", "EventsWorker"))
        if module in sys.modules
    ]
    deadline = time.monotonic() + timeout
    # drain_all itself may block on a stuck server whatever its time-out, hence threads that can be left behind.
    pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="flowrun-drain")
    pending = [pool.submit(service.drain_all, timeout=timeout) for service in services]
    for future in pending:
        try:
            future.result(timeout=max(0.0, deadline - time.monotonic()))
        except Exception:  # noqa: S112 - draining is best effort; a failed run must not fail twice
            continue
    pool.shutdown(wait=False)
