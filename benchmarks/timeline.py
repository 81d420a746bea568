"""One measured run of either system: created, followed to the last pod, and told as seconds per stage."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType
from typing import Any

import processes
import writes
from kube import ApiError, Kube, Raw
from recorder import Recorder, phase
from settings import Settings

# In the order of the table. Where a time comes from: see docs/benchmarks.md.
STAGES = {
    "driver": "driver process started",
    "running": "flow run Running in Prefect",
    "body": "flow body starts",
    "registered": "all workers registered",
    "first_task": "first task runs on a worker",
    "last_task": "last of 8 tasks ended",
    "final": "flow run final in Prefect",
    "driver_exit": "driver process ended",
    "driver_pod": "driver pod finished",
    "worker_exit": "worker processes ended",
    "workers_gone": "worker pods gone",
    "all_gone": "all gone but the record",
}
RUN_TIMEOUT_S = 120.0
GONE_TIMEOUT_S = 90.0
# The audit log is written in batches.
AUDIT_LAG_S = 1.0


@dataclass
class Run:
    """What was measured; stages in seconds after the create call."""

    system: str
    name: str
    stages: dict[str, float] = field(default_factory=dict)
    writes: dict[str, dict[str, int]] = field(default_factory=dict)
    error: str = ""
    notes: list[str] = field(default_factory=list)
    # CPU seconds by kind of process, until the flow has ended.
    cpu: dict[str, float] = field(default_factory=dict)


class Measurement:
    """Carries out runs, one after the other."""

    def __init__(self, kube: Kube, settings: Settings, recorder: Recorder) -> None:
        self._kube = kube
        self._settings = settings
        self._recorder = recorder

    def run(self, system: ModuleType, name: str) -> Run:
        """Measure one run and remove it.

        Args:
            system: `ours` or `peer`.
            name: of the run, unique.
        """
        run = Run(system.NAME, name)
        self._recorder.clear()
        audit = writes.mark()
        began = time.time()
        try:
            system.create(self._kube, self._settings, name)
            self._follow(system, run, began)
            time.sleep(AUDIT_LAG_S)
            run.writes = writes.count(audit, self._settings.namespace)
        except (TimeoutError, ApiError, KeyError, ValueError) as error:
            run.error = f"{type(error).__name__}: {error}"
            run.notes += [line for lines in self._recorder.logs.values() for line in lines[-5:]]
        finally:
            self._remove(system, name)
        return run

    def _follow(self, system: ModuleType, run: Run, began: float) -> None:
        recorder, workers = self._recorder, self._settings.workers
        driver = recorder.wait(
            lambda: recorder.present("pods", lambda p: system.is_driver(p) and phase(p) != "Pending"), 60, "driver runs"
        )[0]["metadata"]["name"]
        recorder.follow_log(driver)
        recorder.wait(lambda: self._running_workers(system) >= workers, RUN_TIMEOUT_S, "workers run")
        for pod in recorder.present("pods", lambda p: not system.is_worker(p) and phase(p) == "Running"):
            recorder.follow_log(pod["metadata"]["name"])  # the peer's scheduler
        ends = {
            "driver_exit": processes.Ends(processes.find(run.name, processes.DRIVER)),
            "worker_exit": processes.Ends(processes.find(run.name, processes.WORKER)),
        }
        recorder.wait(
            lambda: _told(recorder.logs[driver]) or self._finished_driver(driver), RUN_TIMEOUT_S, "the flow's end"
        )
        run.cpu = processes.cpu_seconds(run.name)
        recorder.wait(lambda: self._finished_driver(driver), RUN_TIMEOUT_S, "driver finished")
        if phase(recorder.present("pods", lambda p: p["metadata"]["name"] == driver)[0]) == "Failed":
            raise ValueError(recorder.logs[driver][-1].partition(" ")[2] if recorder.logs[driver] else "driver failed")
        told = recorder.wait(lambda: _told(recorder.logs[driver]), 5, "what the flow has printed")
        recorder.wait(lambda: not recorder.leftovers(), GONE_TIMEOUT_S, "all gone")
        at = {
            **_of_flow(told),
            **self._of_prefect(told["flow_run_id"]),
            "registered": _registered(recorder.logs, workers),
            "driver_pod": recorder.first("pods", lambda p: system.is_driver(p) and _ended(p)),
            "workers_gone": recorder.last_deleted("pods", system.is_worker),
            "all_gone": recorder.last_deleted(None, lambda _: True),
            **{stage: end.last() for stage, end in ends.items()},
        }
        run.stages = {stage: at[stage] - began for stage in STAGES if at.get(stage) is not None}
        run.notes = [line for line in recorder.logs[driver] if "timeline in s" in line]

    def _running_workers(self, system: ModuleType) -> int:
        return len(self._recorder.present("pods", lambda p: system.is_worker(p) and phase(p) == "Running"))

    def _finished_driver(self, name: str) -> bool:
        return bool(self._recorder.present("pods", lambda p: p["metadata"]["name"] == name and _ended(p)))

    def _of_prefect(self, flow_run_id: str) -> dict[str, float | None]:
        if self._settings.prefect_proxy is None:
            return {}
        run: Raw = self._kube.request("GET", f"{self._settings.prefect_proxy}/flow_runs/{flow_run_id}")
        if run["state_type"] != "COMPLETED":
            raise ValueError(f"the flow run ended {run['state_type']}")
        return {"running": _seconds(run["start_time"]), "final": _seconds(run["end_time"])}

    def _remove(self, system: ModuleType, name: str) -> None:
        system.remove(self._kube, self._settings, name)
        present = self._recorder.present
        self._recorder.wait(
            lambda: not (self._recorder.leftovers() or present("jobs") or present("flowruns") or present("pods")),
            GONE_TIMEOUT_S,
            f"{name} removed",
        )


def _ended(pod: Raw) -> bool:
    return phase(pod) in {"Succeeded", "Failed"}


def _told(log: list[str]) -> Any:
    """Return what flow.py has printed; a log line begins with its time."""
    for line in log:
        _, found, text = line.partition(" BENCH ")
        if found:
            return json.loads(text)
    return None


def _of_flow(told: Raw) -> dict[str, float]:
    return {
        "driver": told["container"],
        "body": told["body"],
        "first_task": min(began for began, _, _ in told["tasks"]),
        "last_task": max(ended for _, ended, _ in told["tasks"]),
    }


def _registered(logs: dict[str, list[str]], workers: int) -> float | None:
    """When the scheduler had taken in the last worker; its log is the driver's in our case."""
    times = [_seconds(line.partition(" ")[0]) for log in logs.values() for line in log if "Register worker" in line]
    return sorted(times)[workers - 1] if len(times) >= workers else None


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def warm_up(measurement: Measurement, systems: list[ModuleType]) -> list[Run]:
    """Run each system once: page cache, image layers, the server's first requests."""
    return [measurement.run(system, f"warm-{system.NAME}") for system in systems]


def interleaved(measurement: Measurement, systems: list[ModuleType], runs: int) -> list[Run]:
    """Measure the systems in turn, so that what else the machine does hits both alike.

    A system some of whose runs failed gets as many more tries as it was asked for runs.
    """
    found: list[Run] = []
    for number in range(1, 2 * runs + 1):
        for system in systems:
            if sum(run.system == system.NAME and not run.error for run in found) >= runs:
                continue
            run = measurement.run(system, f"{system.NAME}-{number}")
            first = run.stages.get("first_task")
            print(f"  {run.name}: " + (run.error or f"first task after {first:.2f} s"), flush=True)
            found.append(run)
    return found
