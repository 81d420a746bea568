"""Send the logs and events that Prefect still holds in this process, on a worker or in the driver.

A worker serves several flows at a time: a run's subflows, or everybody who uses a standalone cluster. Prefect's own way
of sending what is queued stops the queues, and an event that another task is about to queue in this moment is lost: its
task run stays Running. So while the process goes on a marker is queued behind what is there, and waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

_CONFIRM_TIMEOUT_S = 5.0
_ENDS_BATCH = 1 << 40


class _Marker:
    """Stands in a queue of Prefect's; set when all before it has been sent."""

    def __init__(self) -> None:
        self.reached = threading.Event()


def flush_process(timeout: float) -> None:
    """Send what is queued by now and wait for it; the queues go on.

    Args:
        timeout: seconds to wait at most.
    """
    deadline = time.monotonic() + timeout
    try:
        markers = [_mark(queue) for queue in _queues()]
    except AttributeError:  # insides of Prefect that another version does not have
        drain_process(timeout)
        return
    _drain_task_run_events(timeout)
    for marker in markers:
        if marker is not None:
            marker.reached.wait(max(0.0, deadline - time.monotonic()))


def drain_process(timeout: float) -> None:
    """Send what is queued, wait for it and stop; workers killed right after a flow lost 9 of 10 log lines without this.

    For a process that ends: what is queued in the same moment may be lost.

    Args:
        timeout: seconds to wait at most.
    """
    deadline = time.monotonic() + timeout
    # drain_all itself may block on a stuck server whatever its time-out, hence threads that can be left behind.
    pool = ThreadPoolExecutor(max_workers=3, thread_name_prefix="flowrun-drain")
    pending: list[Future[Any]] = [pool.submit(service.drain_all, timeout=timeout) for service in _services()]
    pending.append(pool.submit(_drain_task_run_events, timeout))
    for future in pending:
        try:
            future.result(timeout=max(0.0, deadline - time.monotonic()))
        except Exception:  # noqa: S112 - draining is best effort; a failed run must not fail twice
            continue
    pool.shutdown(wait=False)


def _services() -> list[Any]:
    # A process that never imported them has nothing queued.
    return [
        getattr(sys.modules[module], service)
        for module, service in (("prefect.logging.handlers", "APILogWorker"), ("prefect.events.worker", "EventsWorker"))
        if module in sys.modules
    ]


def _queues() -> list[Any]:
    # One dict for all kinds of queues of Prefect's.
    services = _services()
    known = {id(queue): queue for service in services for queue in list(service._instances.values())}
    return [queue for queue in known.values() if isinstance(queue, tuple(services))]


def _drain_task_run_events(timeout: float) -> None:
    # Only a process that has run a task has any.
    if (events := sys.modules.get("prefect_flowrun.worker.task_run_events")) is not None:
        events.drain(timeout)


def _mark(queue: Any) -> _Marker | None:
    """Queue a marker; None if the queue is being stopped, by the end of the process."""
    _let_markers_pass(type(queue))
    marker = _Marker()
    with queue._lock:
        if queue._stopped:
            return None
        queue._queue.put_nowait(marker)
    return marker


def _let_markers_pass(service: Any) -> None:
    """Have a class of queue know markers, whatever it queues one by one (events) or in batches (logs)."""
    if getattr(service, "flowrun_markers", False):
        return
    if hasattr(service, "_handle_batch"):
        service._get_size = _ending_batches(service._get_size)
        service._handle_batch = _without_markers(service._handle_batch)
    else:
        service._handle = _unless_marker(service._handle)
    service.flowrun_markers = True


def _ending_batches(size: Callable[[Any, Any], int]) -> Callable[[Any, Any], int]:
    # A batch waits for more, up to 2 s, unless it is full.
    return lambda self, item: _ENDS_BATCH if isinstance(item, _Marker) else size(self, item)


def _without_markers(handle_batch: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    async def handle(self: Any, items: list[Any]) -> None:
        try:
            if real := [item for item in items if not isinstance(item, _Marker)]:
                await handle_batch(self, real)
        finally:
            for item in items:
                if isinstance(item, _Marker):
                    item.reached.set()

    return handle


def _unless_marker(handle: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    async def handle_or_pass(self: Any, item: Any) -> None:
        if not isinstance(item, _Marker):
            await handle(self, item)
            return
        # What was sent may be in this process's buffers: the answer to a ping comes behind it.
        websocket = getattr(getattr(self, "_client", None), "_websocket", None)
        if websocket is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(await websocket.ping(), _CONFIRM_TIMEOUT_S)
        item.reached.set()

    return handle_or_pass
