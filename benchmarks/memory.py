"""The operator's resident memory over many runs, from its own metrics."""

from __future__ import annotations

import re
from collections.abc import Callable

import ours
from kube import Kube, wait
from recorder import Recorder
from settings import Settings, operator_pod

STEP = 5
Samples = list[tuple[str, float]]


def resident_mb(kube: Kube, settings: Settings) -> float:
    """Return the operator's resident memory in MB (10^6 bytes)."""
    pod = wait(lambda: operator_pod(kube, settings), 60, "the operator runs")
    name = pod["metadata"]["name"]
    path = f"/api/v1/namespaces/{settings.operator_namespace}/pods/{name}:8080/proxy/metrics"
    found = re.search(r"^process_resident_memory_bytes (\S+)$", kube.request("GET", path), re.MULTILINE)
    return float(found.group(1)) / 1e6 if found else 0.0


def measure(kube: Kube, settings: Settings, recorder: Recorder, runs: int, say: Callable[[str], None]) -> Samples:
    """Run small FlowRuns, some at a time, and return (runs so far, MB) before, in between and after their removal."""
    samples: Samples = []

    def sample(after: str) -> None:
        samples.append((after, resident_mb(kube, settings)))
        say(f"  after {after} runs: {samples[-1][1]:.1f} MB")

    sample("0")
    names: list[str] = []
    for first in range(0, runs, STEP):
        batch = [f"memory-{number}" for number in range(first, min(first + STEP, runs))]
        for name in batch:
            ours.create(kube, settings, name, tasks=2)
        recorder.wait(lambda done=batch: _ended(recorder, done), 60.0 * STEP, f"runs {batch} ended")
        recorder.wait(lambda: not recorder.leftovers(), 60, "all gone")
        names += batch
        sample(str(len(names)))
    for name in names:
        ours.remove(kube, settings, name)
    recorder.wait(lambda: not recorder.present("flowruns"), 60, "records removed")
    sample(f"{len(names)} removed")
    return samples


def _ended(recorder: Recorder, names: list[str]) -> bool:
    def is_done(run: dict) -> bool:
        conditions = run.get("status", {}).get("conditions", [])
        return any(c["type"] == "Succeeded" and c["status"] != "Unknown" for c in conditions)

    done = {run["metadata"]["name"] for run in recorder.present("flowruns", is_done)}
    return set(names) <= done
