"""One driver: start it, wait for its answers and for what the server still does about it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from task_overhead import cpu, work
from task_overhead.children import Process, child
from task_overhead.cpu import Sample
from task_overhead.order import Order
from task_overhead.rows import Row
from task_overhead.stage import Stage

# Beyond what the slowest row needs on a busy machine.
START_S = 120.0
TASK_S = 0.5
END_S = 240.0
QUIET_S = 60.0
LOGS_S = 10.0
POLL_S = 0.1
# Asking costs the server, too.
ASK_S = 0.5


def run(stage: Stage, row: Row, loads: dict[str, int]) -> list[dict[str, Any]]:
    """Measure, and never raise for a row that fails.

    Args:
        stage: with what the row needs.
        row: who runs the tasks.
        loads: tasks by scenario; one driver runs them one after the other.

    Returns:
        Of each scenario what was measured, or "error".
    """
    if why := stage.broken.get(row.engine):
        return [_failed(row, scenario, tasks, why) for scenario, tasks in loads.items()]
    name = f"{row.name}-{time.monotonic_ns()}"
    order_file, log = stage.folder / f"{name}.order", stage.folder / f"{name}.log"
    result_file = stage.folder / f"{name}.result"
    address = stage.addresses.get(row.engine, "")
    order = Order(row.name, loads, address, stage.groups_of(row), str(result_file))
    order.write(order_file)
    command = [sys.executable, "-m", "task_overhead.driver", str(order_file)]
    with child(command, stage.driver_env(row), log, stage.folder / "work") as driver:
        error = _wait_for_answers(order, driver)
        results = order.answers()
        if not error:
            _follow(stage, order, driver, results)
    found = [{"row": row.name, **result} for result in results]
    missing = list(loads)[len(results) :]
    return found + [_failed(row, scenario, loads[scenario], f"{error}: {_last_words(log)}") for scenario in missing]


def _failed(row: Row, scenario: str, tasks: int, error: str) -> dict[str, Any]:
    return {"row": row.name, "scenario": scenario, "tasks": tasks, "error": error}


def _wait_for_answers(order: Order, driver: Process) -> str:
    """Wait until everything is answered; return what went wrong, if something did."""
    deadline = time.monotonic() + START_S + TASK_S * sum(order.loads.values())
    while len(order.answers()) < len(order.loads):
        if driver.poll() is not None and len(order.answers()) < len(order.loads):
            return f"the driver ended with code {driver.returncode}"
        if time.monotonic() > deadline:
            return "no result in time"
        time.sleep(POLL_S)
    return ""


def _follow(stage: Stage, order: Order, driver: Process, results: list[dict[str, Any]]) -> None:
    """Add what can only be seen after the last result, as far as it can be told apart: to a load that was alone."""
    dropped = stage.dropped_events()
    befores, last = [result.pop("cpu_before") for result in results], results[-1]
    groups = {**order.groups, "driver": [driver.pid]}
    samples: list[Sample] = [cpu.sample(groups)]
    seen = _watch_end(stage, driver, last, lambda: samples.append(cpu.sample(groups)))
    if last["flow_run_id"]:
        quiet = stage.server_quiet(QUIET_S)
        samples.append(cpu.sample(groups))
        seen["dropped"] = stage.dropped_events() - dropped
        if not quiet:
            stage.restart_server()  # it would go on recording for minutes
    for result in results:
        if result["scenario"] == "logs":
            result["lines"] = _lines(stage, result["flow_run_id"], result["tasks"])
    if len(results) == 1:
        last |= seen | {"cpu_s": cpu.spent(befores[0], *samples)}


def _watch_end(stage: Stage, driver: Process, last: dict[str, Any], look: Callable[[], None]) -> dict[str, Any]:
    """Wait until the driver has ended and all task runs are recorded; say when that was, in s after the last result."""
    seen: dict[str, Any] = {}
    flow_run_id = last["flow_run_id"]
    deadline = time.time() + END_S
    while time.time() < deadline:
        look()
        if flow_run_id and "recorded_s" not in seen:
            seen["recorded"] = stage.server.recorded(flow_run_id)
            if seen["recorded"] >= last["task_runs"]:
                seen["recorded_s"] = time.time() - last["ended_at"]
        if "exited_s" not in seen and driver.poll() is not None:
            seen["exited_s"] = time.time() - last["ended_at"]
        if "exited_s" in seen and ("recorded_s" in seen or not flow_run_id):
            break
        time.sleep(ASK_S)
    return seen


def _lines(stage: Stage, flow_run_id: str, expected: int) -> int:
    """Count the printed lines in Prefect; they come in batches, so not all at once."""
    deadline = time.monotonic() + LOGS_S
    while (found := stage.server.log_lines(flow_run_id, work.LINE)) < expected and time.monotonic() < deadline:
        time.sleep(1.0)
    return found


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-3:])[-600:]
