"""`make bench-tasks`: what a task costs with bare Dask and Ray, prefect-dask, prefect-ray and ours, side by side.

Starts a Prefect server and one cluster per engine on this machine, and needs no Kubernetes. Prints tables; judges
nothing by its exit code. Method and figures: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from task_overhead import cpu, report
from task_overhead.rows import GROUPS, ROWS, SCENARIOS, Row, Scenario
from task_overhead.run import run
from task_overhead.stage import Stage, standing

HERE = Path(__file__).resolve().parent
IDLE_S = 10.0


def main() -> None:
    args = _arguments()
    # So that what was started is stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    results: dict[str, Any] = {"about": report.about(), "runs": []}
    print("\n".join(f"{what}: {value}" for what, value in results["about"].items()), flush=True)
    rows = [ROWS[name] for name in args.rows]
    try:
        # In /tmp, wherever TMPDIR points: the path of a socket of Ray's may have 107 characters.
        with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp", ignore_cleanup_errors=True) as folder:
            engines = {row.engine for row in rows}
            with standing(Path(folder), HERE, engines, stock_server=args.stock_server) as stage:
                results["server_idle_cpu"] = _idle_cpu(stage)
                _measure(stage, rows, args, results["runs"])
    finally:
        minutes = (time.monotonic() - started) / 60
        print(f"\n{report.tables(results)}\n\n{minutes:.1f} minutes, load at the end {os.getloadavg()[0]:.2f}")
        if args.json:
            Path(args.json).write_text(json.dumps(results, indent=1))


def _measure(stage: Stage, rows: list[Row], args: argparse.Namespace, runs: list[dict[str, Any]]) -> None:
    for group in GROUPS:
        chosen = [scenario for scenario in group if scenario.name in args.only]
        # In turn, so that a slow phase of the machine hits all of them.
        for row in rows * args.repeat:
            loads = {scenario.name: _tasks(scenario, args) for scenario in chosen if scenario.includes(row, args.all)}
            if not loads:
                continue
            for result in run(stage, row, loads):
                runs.append(result)
                print(f"{row.name:14}{result['scenario']:14}{report.line(result)}", flush=True)


def _tasks(scenario: Scenario, args: argparse.Namespace) -> int:
    return int(args.tasks or (scenario.quick_tasks if args.quick else scenario.tasks))


def _idle_cpu(stage: Stage) -> float:
    """Return the part of a core that the server uses while nobody asks anything of it."""
    stage.server_quiet(IDLE_S)
    before = cpu.sample(stage.groups["server"])
    time.sleep(IDLE_S)
    return cpu.spent(before, cpu.sample(stage.groups["server"]))["server"] / IDLE_S


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few tasks: a look, not a measurement")
    parser.add_argument("--repeat", type=int, default=1, help="rounds over all rows (default 1)")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="these loads")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="these rows")
    parser.add_argument("--tasks", type=int, help="so many tasks in every load")
    parser.add_argument("--all", action="store_true", help="the large map with the stock runners too (20 minutes more)")
    parser.add_argument(
        "--stock-server", action="store_true", help="not with the settings of the bundled Prefect server"
    )
    parser.add_argument("--json", metavar="FILE", help="write every measured value there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
