"""An engine without a cluster, for tests that need none: tasks run in a thread of this process.

Everything else is real: payloads are packed, travel as bytes, and are run by the worker's side.
"""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_flowrun.engines.base import Call
from prefect_flowrun.worker import run_task, running
from prefect_flowrun.worker.delivery import Delivery


class StandInFuture:
    """A future of concurrent.futures behind the engine's Protocol."""

    def __init__(self) -> None:
        self.inner: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.watched = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        concurrent.futures.wait([self.inner], timeout)
        return self.inner.done()

    def result(self) -> Any:
        return self.inner.result()

    def let_go(self):
        return False

    def done(self) -> bool:
        return self.inner.done()

    def failure(self) -> BaseException | None:
        if self.inner.cancelled():
            return concurrent.futures.CancelledError("given up")
        return self.inner.exception()

    def given_up(self) -> str | None:
        return None

    def add_done_callback(self, fn: Callable[[], Any]) -> None:
        self.inner.add_done_callback(lambda _: fn())
        self.watched.set()


@dataclass
class StandInStart:
    """What an engine says of one start of a task."""

    number: int = 1
    outcome: Any = None


@dataclass(eq=False)
class StandInParcel:
    """Where bytes are."""

    number: int


class StandInEngine:
    """Runs one task at a time, and notes what it was asked."""

    name = "StandIn"
    package = "distributed"
    startup_failure = None
    closed = False

    def __init__(self, gate: Path | None = None) -> None:
        self.gate = gate  # a file, since tasks are pickled: made when the runner turns to what is outstanding
        self.pool = concurrent.futures.ThreadPoolExecutor(1)
        self.calls: list[str] = []
        self.submitted: list[Call] = []
        self.parcels: list[bytes] = []
        self.lose: BaseException | None = None
        self.workers = {"worker-0": {"plugin": "0.0"}}

    def put(self, data: bytes) -> StandInParcel:
        self.parcels.append(data)
        return StandInParcel(len(self.parcels) - 1)

    def holds(self, parcel: StandInParcel) -> bool:
        return True

    def submit(self, call: Call) -> StandInFuture:
        self.submitted.append(call)
        future = StandInFuture()
        self.pool.submit(self._run, call, future)
        return future

    def wait(self, futures: Sequence[StandInFuture], timeout: float | None) -> int:
        self.calls.append(f"wait {len(futures)}")
        self._open_gate()
        return len(concurrent.futures.wait([future.inner for future in futures], timeout).not_done)

    def cancel(self, futures: Sequence[StandInFuture]) -> None:
        self.calls.append(f"cancel {len(futures)}")
        for future in futures:
            future.inner.cancel()
        self._open_gate()

    def wait_for_workers(self, count: int, timeout: float) -> int:
        self.calls.append(f"wait for {count} worker(s)")
        return len(self.workers)

    def versions(self, timeout: float) -> dict[str, dict[str, str]]:
        return self.workers

    def give_way(self, future: Any) -> None:
        self.calls.append("give way")

    def drain(self, timeout: float) -> set[str]:
        self.calls.append("drain")
        return set(running.now())

    def briefs(self, keys):
        return {}

    def sizes(self, futures: Sequence[StandInFuture]) -> list[int | None]:
        return [None] * len(futures)

    def describe_loss(self, error: BaseException) -> str:
        return f"lost: {error}"

    def close(self) -> None:
        self.calls.append("close")

    def _open_gate(self) -> None:
        if self.gate is not None:
            self.gate.touch()

    def _run(self, call: Call, future: StandInFuture) -> None:
        states = [upstream.result() for upstream in call.upstream]
        # A task that has begun may still be given up, as on a cluster, so it is not marked as running.
        try:
            if self.lose is not None:
                future.watched.wait(60)  # so that callbacks are called from this thread, as a cluster calls them
                raise self.lose
            outcome = run_task.run(delivery(call.payload, states, self.open_parcels(call)), self.package).outcome
        except BaseException as error:
            if not future.inner.cancelled():
                future.inner.set_exception(error)
        else:
            if not future.inner.cancelled():
                future.inner.set_result(outcome)

    def open_parcels(self, call: Call) -> Callable[[int], bytes]:
        return lambda index: self.parcels[call.parcels[index].number]


def delivery(
    payload: bytes,
    states: Sequence[Any] = (),
    open_parcel: Callable[[int], bytes] | None = None,
    start: StandInStart | None = None,
) -> Delivery:
    """What an engine hands to the worker's side."""
    return Delivery(
        payload, states, open_parcel or {}.__getitem__, start or StandInStart(), "worker-0", join=StandInEngine
    )


def until(done: Callable[[], Any], timeout_s: float = 60) -> Any:
    """Wait until something is so; return the last answer, for the caller to assert on."""
    deadline = time.monotonic() + timeout_s
    while not (answer := done()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return answer
