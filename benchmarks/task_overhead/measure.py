"""What is timed, inside the driver process: the same for every row."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from task_overhead import cpu, work
from task_overhead.order import Order
from task_overhead.rows import ROWS, WORKERS

MEGABYTE = 2**20
WARM_UP_ROUNDS = 20


class Calls(Protocol):
    """A row's way to run functions."""

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        """Start one call and return its future; arguments may be such futures."""

    def map(self, function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        """Start a call for each item."""

    def results(self, futures: list[Any]) -> list[Any]:
        """Wait for all of them."""


@dataclass(frozen=True)
class Load:
    """A scenario's calls."""

    submit: Callable[[Calls, list[Any]], list[Any]]
    inputs: Callable[[int], list[Any]]
    """Made before the clock starts."""
    expected: Callable[[int], list[Any]]


def measure(calls: Calls, order: Order, flow_run_id: str | None = None) -> None:
    """Warm the row up, run the loads of an order, and answer after each.

    Args:
        calls: of the row.
        order: says which loads and how many tasks.
        flow_run_id: of the flow run around, if there is one.
    """
    task_runs = _warm_up(calls, 1 if ROWS[order.row].engine == "threads" else WORKERS)
    groups = {**order.groups, "driver": [os.getpid()]}
    answers = []
    for scenario, tasks in order.loads.items():
        cpu_before = cpu.sample(groups)
        result = _run(calls, LOADS[scenario], tasks)
        task_runs += tasks
        about = {"scenario": scenario, "tasks": tasks, "task_runs": task_runs, "flow_run_id": flow_run_id}
        answers.append({**about, **result, "cpu_before": cpu_before})
        order.answer(answers)


def _run(calls: Calls, load: Load, tasks: int) -> dict[str, Any]:
    """Run a load once; times in seconds, memory in MiB."""
    inputs = load.inputs(tasks)
    memory_mb = cpu.resident_mb()
    start = time.perf_counter()
    futures = load.submit(calls, inputs)
    submitted = time.perf_counter()
    results = calls.results(futures)
    end = time.perf_counter()
    return {
        "ended_at": time.time(),
        "total_s": end - start,
        "submit_s": submitted - start,
        "done": sum(found == right for found, right in zip(results, load.expected(tasks), strict=True)),
        "memory_mb": cpu.resident_mb() - memory_mb,
    }


def _warm_up(calls: Calls, processes: int) -> int:
    """Run tasks until every worker process has had some, and once more; return how many."""
    seen: set[int] = set()
    warmed = 0
    for _ in range(WARM_UP_ROUNDS):
        enough = len(seen) >= processes
        futures = [calls.submit(work.nap, number) for number in range(2 * processes)]
        warmed += len(futures)
        seen.update(calls.results(futures))
        if enough:
            break
    return warmed


def _each(function: Callable[..., Any]) -> Callable[[Calls, list[Any]], list[Any]]:
    return lambda calls, inputs: [calls.submit(function, *args) for args in inputs]


def _chain(calls: Calls, inputs: list[Any]) -> list[Any]:
    futures: list[Any] = []
    for first in inputs:
        futures.append(calls.submit(work.step, futures[-1] if futures else first))
    return futures


def _numbers(tasks: int) -> list[Any]:
    return [(number,) for number in range(tasks)]


def _same_data(tasks: int) -> list[Any]:
    data = os.urandom(MEGABYTE)
    return [(number, data) for number in range(tasks)]


LOADS = {
    "trivial": Load(_each(work.trivial), _numbers, lambda tasks: list(range(tasks))),
    "same-mb": Load(_each(work.size), _same_data, lambda tasks: [MEGABYTE] * tasks),
    "distinct-mb": Load(
        _each(work.size),
        lambda tasks: [(number, os.urandom(MEGABYTE)) for number in range(tasks)],
        lambda tasks: [MEGABYTE] * tasks,
    ),
    "chain": Load(_chain, lambda tasks: [0] * tasks, lambda tasks: list(range(1, tasks + 1))),
    "logs": Load(_each(work.speak), _numbers, lambda tasks: list(range(tasks))),
    "map": Load(
        lambda calls, inputs: calls.map(work.trivial, inputs),
        lambda tasks: list(range(tasks)),
        lambda n: list(range(n)),
    ),
}
