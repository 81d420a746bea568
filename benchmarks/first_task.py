"""`make bench`: FlowRun and dask-kubernetes with prefect-dask, side by side on one cluster and from one image.

Prints tables; judges nothing by its exit code. Method and figures: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import memory
import ours
import ours_ray
import peer
import peer_setup
import report
import teardown
from kube import Kube
from recorder import KINDS, Recorder
from settings import Settings, prepare, read_settings
from timeline import Measurement, Run, interleaved, warm_up

SECTIONS = ("first-task", "ray", "teardown", "memory", "writes")
# Bars of section "teardown", in seconds.
BARS = {"SIGKILL of the driver": 10.0, "FlowRun deleted": 10.0, "SIGKILL, no operator": 15.0}


def main() -> None:
    args = _arguments()
    chosen = [args.only] if args.only else list(SECTIONS)
    kube = Kube()
    settings = read_settings(kube)
    load = os.getloadavg()[0]
    print(f"image {settings.image}, load of this machine {load:.2f}" + (" - not idle: figures suffer" * (load > 1)))
    prepare(kube, settings)
    needs_peer = not args.without_peer and bool({"first-task", "writes"} & set(chosen))
    kinds = KINDS if needs_peer else tuple(kind for kind in KINDS if not kind.startswith("dask"))
    results: dict[str, Any] = {"image": settings.image, "load": load, "started": time.time()}
    try:
        if needs_peer:
            print("installing the dask-kubernetes operator", flush=True)
            peer_setup.install(kube, settings)
        recorder = Recorder(kube, settings.namespace, kinds)
        recorder.start()
        time.sleep(1.0)  # the watches stand
        _measure(kube, settings, recorder, args, chosen, results, [peer, ours] if needs_peer else [ours])
    finally:
        if not args.keep:
            peer_setup.remove(kube, settings)
        if args.json:
            Path(args.json).write_text(json.dumps(results, indent=1))


def _measure(
    kube: Kube,
    settings: Settings,
    recorder: Recorder,
    args: argparse.Namespace,
    chosen: list[str],
    results: dict[str, Any],
    systems: list[Any],
) -> None:
    if {"first-task", "writes"} & set(chosen):
        _first_task(Measurement(kube, settings, recorder), systems, args.runs, chosen, results)
    if "ray" in chosen:
        print("\nFlowRun on Ray; warm-up, then", flush=True)
        measurement = Measurement(kube, settings, recorder)
        warm_up(measurement, [ours_ray])
        found = interleaved(measurement, [ours_ray], args.runs)
        results["ray"] = [asdict(run) for run in found]
        print("\n" + report.stage_table(found) + "\n" + report.ray_line(found))
        print(report.cpu_table(found, ours_ray.NAME))
    if "teardown" in chosen:
        print("\nteardown, tasks running:", flush=True)
        results["teardown"] = teardown.measure(kube, settings, recorder, min(args.runs, 3))
        for way, times in results["teardown"].items():
            for what, seconds in times.items():
                bar = report.verdict(max(seconds), BARS[way], " s")
                print(f"{way + ': ' + what:48}{report.spread(seconds):>26} {bar}")
    if "memory" in chosen:
        print("\nmemory:", flush=True)
        samples = memory.measure(kube, settings, recorder, args.memory_runs, lambda text: print(text, flush=True))
        results["memory"] = samples
        print(report.memory_table(samples))


def _first_task(
    measurement: Measurement, systems: list[Any], runs: int, chosen: list[str], results: dict[str, Any]
) -> None:
    print("\nwarm-up, then in turn:", flush=True)
    for run in warm_up(measurement, systems):
        if run.error:
            print(f"  {run.name}: {run.error}\n" + "\n".join(run.notes), flush=True)
    found: list[Run] = interleaved(measurement, systems, runs)
    results["runs"] = [asdict(run) for run in found]
    if "first-task" in chosen:
        print("\n" + report.stage_table(found) + "\n")
        print("\n".join(report.ratio_lines(found)))
    print("\n" + report.writes_table(found))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="measured runs of each system (default 5)")
    parser.add_argument("--only", choices=SECTIONS, help="one section instead of all")
    parser.add_argument("--memory-runs", type=int, default=20, help="FlowRuns of the section memory (default 20)")
    parser.add_argument("--without-peer", action="store_true", help="our system only")
    parser.add_argument("--keep", action="store_true", help="leave the peer's operator and the namespaces in place")
    parser.add_argument("--json", metavar="FILE", help="write every measured value there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
