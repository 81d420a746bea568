"""How soon the workers of a FlowRun are gone, by what ended the run; with and without the operator."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import ours
import processes
from kube import Kube, path_of, wait
from recorder import Recorder, phase
from settings import OPERATOR, Settings, operator_pod

# Long enough that no task ends by itself.
TASK_S = 300.0
# From "all workers ready" until the tasks run on them.
TASKS_START_S = 3.0
TIMEOUT_S = 60.0
Times = dict[str, list[float]]


class Teardown:
    """Measures one end of a run at a time."""

    def __init__(self, kube: Kube, settings: Settings, recorder: Recorder) -> None:
        self._kube = kube
        self._settings = settings
        self._recorder = recorder

    def killed(self, name: str) -> dict[str, float]:
        """SIGKILL the driver process on this host."""
        ends = self._start(name)
        driver = processes.find(name, processes.DRIVER)
        if not driver:
            raise LookupError("the driver does not run on this host: only the bundled cluster's does")
        began = time.time()
        os.kill(driver[-1], signal.SIGKILL)  # the first is the container's init
        return self._times(ends, began)

    def deleted(self, name: str) -> dict[str, float]:
        """Delete the FlowRun."""
        ends = self._start(name)
        began = time.time()
        ours.remove(self._kube, self._settings, name)
        return self._times(ends, began)

    def killed_without_operator(self, name: str) -> dict[str, float]:
        """SIGKILL the driver while no operator runs; only processes can end then, the pods' objects stay."""
        ends = self._start(name)
        driver = processes.find(name, processes.DRIVER)
        if not driver:
            raise LookupError("the driver does not run on this host: only the bundled cluster's does")
        with self._no_operator():
            began = time.time()
            os.kill(driver[-1], signal.SIGKILL)
            last = ends.last(TIMEOUT_S)
            return {} if last is None else {"worker processes ended": last - began}

    def remove(self, name: str) -> None:
        """Remove the run and wait for the namespace to be empty."""
        ours.remove(self._kube, self._settings, name)
        present = self._recorder.present
        self._recorder.wait(lambda: not (present("pods") or present("flowruns")), TIMEOUT_S, f"{name} removed")

    def _start(self, name: str) -> processes.Ends:
        """Start a run whose tasks sleep, and wait until every worker has one."""
        self._recorder.clear()
        ours.create(self._kube, self._settings, name, tasks=self._settings.workers, seconds=TASK_S)
        self._recorder.wait(lambda: self._ready_workers() >= self._settings.workers, TIMEOUT_S, "workers ready")
        time.sleep(TASKS_START_S)
        return processes.Ends(processes.find(name, processes.WORKER))

    def _ready_workers(self) -> int:
        pods = self._recorder.present("pods", lambda p: ours.is_worker(p) and phase(p) == "Running")
        return sum(
            any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
            for pod in pods
        )

    def _times(self, ends: processes.Ends, began: float) -> dict[str, float]:
        recorder = self._recorder
        recorder.wait(lambda: not recorder.present("pods", ours.is_worker), TIMEOUT_S, "workers gone")
        found = {
            "worker pods gone": recorder.last_deleted("pods", ours.is_worker),
            "worker processes ended": ends.last(),
        }
        return {what: at - began for what, at in found.items() if at is not None}

    @contextlib.contextmanager
    def _no_operator(self) -> Iterator[None]:
        namespace = self._settings.operator_namespace
        name = self._kube.list("deployments", namespace, OPERATOR)[0]["metadata"]["name"]
        path = path_of("deployments", namespace, name) + "/scale"
        replicas = self._kube.request("GET", path)["spec"]["replicas"]
        self._kube.request("PATCH", path, {"spec": {"replicas": 0}}, patch=True)
        try:
            wait(lambda: not self._kube.list("pods", namespace, OPERATOR), TIMEOUT_S, "operator stopped")
            yield
        finally:
            self._kube.request("PATCH", path, {"spec": {"replicas": replicas}}, patch=True)
            wait(lambda: operator_pod(self._kube, self._settings), TIMEOUT_S, "operator back")


def others_at_work(kube: Kube, settings: Settings) -> list[str]:
    """FlowRuns outside the benchmark that have not ended: the operator is not stopped under them."""
    return [
        f"{run['metadata']['namespace']}/{run['metadata']['name']}"
        for run in kube.list("flowruns", None)
        if run["metadata"]["namespace"] != settings.namespace and not run.get("status", {}).get("completionTime")
    ]


def measure(kube: Kube, settings: Settings, recorder: Recorder, runs: int) -> dict[str, Times]:
    """Measure every way, `runs` times each; a way that can't be measured here is left out and said."""
    teardown = Teardown(kube, settings, recorder)
    ways = {
        "SIGKILL of the driver": teardown.killed,
        "FlowRun deleted": teardown.deleted,
        "SIGKILL, no operator": teardown.killed_without_operator,
    }
    found: dict[str, Times] = {}
    for way, carry_out in ways.items():
        if way == "SIGKILL, no operator" and (others := others_at_work(kube, settings)):
            print(f"  {way}: left out, other runs are active: {', '.join(others)}")
            continue
        for number in range(1, runs + 1):
            name = f"{''.join(c for c in way.lower() if c.isalpha())}-{number}"
            try:
                times = carry_out(name)
                print(f"  {name}: " + ", ".join(f"{what} {s:.2f} s" for what, s in times.items()), flush=True)
                for what, seconds in times.items():
                    found.setdefault(way, {}).setdefault(what, []).append(seconds)
            except (LookupError, TimeoutError) as error:
                print(f"  {way}: {error}", flush=True)
            finally:
                teardown.remove(name)
    return found
