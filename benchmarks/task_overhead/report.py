"""Tables in Markdown, of the medians over all repeats."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any

from task_overhead.rows import ROWS, SCENARIOS, Row

Run = dict[str, Any]
Value = Callable[[Run], float | None]
PACKAGES = ("prefect", "distributed", "ray", "prefect-dask", "prefect-ray", "prefect-flowrun")
NOTHING = "-"


def about() -> dict[str, str]:
    """Say where and with what is measured."""
    versions = ", ".join(f"{package} {_version(package)}" for package in PACKAGES)
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "versions": f"Python {platform.python_version()}, {versions}",
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} before the start",
    }


def tables(results: dict[str, Any]) -> str:
    """Return all tables that there are values for."""
    runs: list[Run] = results["runs"]
    parts = [_cost_table(runs), _scenario_table(runs), _ratio_table(runs), _failures(runs)]
    if (idle := results.get("server_idle_cpu")) is not None:
        parts.insert(1, f"The idle server uses {100 * idle:.1f} % of a core; that is part of its figures.")
    return "\n\n".join(part for part in parts if part)


def line(run: Run) -> str:
    """Sum a run up, while the others are still to come."""
    if "error" in run:
        return f"failed: {run['error']}"
    text = f"{_per_task('total_s')(run):.2f} ms per task, {run['done']} of {run['tasks']} done"
    if "recorded" in run:
        text += f", recorded after {run['recorded_s']:.1f} s" if "recorded_s" in run else ", not all recorded"
        text += f" ({run['recorded']} of {run['task_runs']}), {run.get('dropped')} events dropped"
    return text


def _cost_table(runs: list[Run]) -> str:
    columns: dict[str, Value] = {
        "total": _per_task("total_s"),
        "submit": _per_task("submit_s"),
        "CPU driver": _cpu("driver"),
        "CPU workers": _cpu("workers"),
        "CPU coordinator": _cpu("coordinator"),
        "CPU server": _cpu("server"),
        "recorded, of all": _recorded,
        "recorded after, s": lambda run: run.get("recorded_s"),
        "dropped events": lambda run: run.get("dropped"),
        "process ended after, s": lambda run: run.get("exited_s"),
    }
    chosen = _good(runs, "trivial")
    if not chosen:
        return ""
    title = f"Cost of a trivial task (ms per task unless said otherwise; n = {chosen[0]['tasks']})"
    return _table(title, list(columns), lambda row: [_median(_of(chosen, row), value) for value in columns.values()])


def _scenario_table(runs: list[Run]) -> str:
    columns: list[tuple[str, str, Value]] = [
        ("same-mb", "same 1 MB, ms", _per_task("total_s")),
        ("distinct-mb", "distinct 1 MB, ms", _per_task("total_s")),
        ("chain", "chain, ms", _per_task("total_s")),
        ("logs", "lines in Prefect per printed line", lambda run: run["lines"] / run["tasks"]),
        ("map", "large map, s", lambda run: run["total_s"]),
        ("map", "of it done", lambda run: run["done"] / run["tasks"]),
        ("map", "of it recorded", _recorded),
        ("map", "recorded after, s", lambda run: run.get("recorded_s")),
        ("map", "dropped events", lambda run: run.get("dropped")),
        ("map", "CPU server, ms per task run", _cpu("server")),
        ("map", "driver memory, MiB", lambda run: run["memory_mb"]),
    ]
    columns = [column for column in columns if _good(runs, column[0])]
    if not columns:
        return ""
    sizes = {name: _good(runs, name)[0]["tasks"] for name, _, _ in columns}
    title = "Other loads (per task; " + ", ".join(f"{name}: n = {tasks}" for name, tasks in sizes.items()) + ")"
    return _table(
        title,
        [head for _, head, _ in columns],
        lambda row: [_median(_of(_good(runs, name), row), value) for name, _, value in columns],
    )


def _ratio_table(runs: list[Run]) -> str:
    lines = []
    for scenario in SCENARIOS.values():
        for engine in ("dask", "ray"):
            times = {
                row.kind: _median(_of(_good(runs, scenario.name), row), _per_task("total_s"))
                for row in ROWS.values()
                if row.engine == engine
            }
            ours, stock, bare = times["ours"], times["stock"], times["bare"]
            if ours and (stock or bare):
                cells = [_cell(ours / other if other else None) for other in (stock, bare)]
                lines.append(f"| {scenario.title} | {engine} | " + " | ".join(cells) + " |")
    head = [
        "**Total time, ours divided by**",
        "",
        "| load | engine | stock runner | bare engine |",
        "|---|---|---|---|",
    ]
    return "\n".join(head + lines) if lines else ""


def _failures(runs: list[Run]) -> str:
    return "\n".join(f"- {run['row']}, {run['scenario']}: {run['error']}" for run in runs if "error" in run)


def _table(title: str, heads: Sequence[str], cells: Callable[[Row], list[float | None]]) -> str:
    lines = [f"**{title}**", "", "| |" + "".join(f" {head} |" for head in heads), "|---|" + "---|" * len(heads)]
    for row in ROWS.values():
        values = cells(row)
        if any(value is not None for value in values):
            lines.append(f"| {row.title} |" + "".join(f" {_cell(value)} |" for value in values))
    return "\n".join(lines)


def _good(runs: list[Run], scenario: str) -> list[Run]:
    return [run for run in runs if run["scenario"] == scenario and "error" not in run]


def _of(runs: list[Run], row: Row) -> list[Run]:
    return [run for run in runs if run["row"] == row.name]


def _per_task(what: str) -> Value:
    return lambda run: 1000 * run[what] / run["tasks"]


def _cpu(group: str) -> Value:
    return lambda run: 1000 * run["cpu_s"][group] / run["tasks"] if group in run.get("cpu_s", {}) else None


def _recorded(run: Run) -> float | None:
    return run["recorded"] / run["task_runs"] if "recorded" in run else None


def _median(runs: list[Run], value: Value) -> float | None:
    values = [found for run in runs if (found := value(run)) is not None]
    return median(values) if values else None


def _cell(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
