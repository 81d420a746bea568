"""Ray clusters of a run, clusters on demand, elastic ones: real pods, and what is left of them."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_tools import BUSY_S, Cluster, Raw, code, flow_run
from node_tools import processes

EXAMPLES = Path(__file__).parents[2] / "examples"
FLOWS = (Path(__file__).parent / "ray_flows.py").read_text()
# Ray alone needs 0.3 GiB of a worker, the flow's process the rest.
RESOURCES = {"requests": {"cpu": "100m", "memory": "512Mi"}}


# What Ray compares is made to differ, as in an image of another Python: read when its module is first imported.
ODD_PYTHON = """
import importlib.abc, importlib.util, sys

class Odd(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "ray._private.utils":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            version, _ = module.compute_version_info()
            module.compute_version_info = lambda: (version, "3.9.99")
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Odd())
"""


def cluster_of(name: str, engine: str = "Ray", workers: Raw | None = None, **spec: Any) -> Raw:
    return {
        "name": name,
        "engine": engine,
        "workers": {"replicas": 2, "resources": RESOURCES, **(workers or {})},
        **spec,
    }


def elastic(name: str, engine: str, least: int, most: int, **spec: Any) -> Raw:
    workers = {"minReplicas": least, "maxReplicas": most, "resources": RESOURCES}
    return {"name": name, "engine": engine, "workers": workers, **spec}


def start(ns: Cluster, function: str, *clusters: Raw, parameters: Raw | None = None, name: str = "r") -> None:
    run = flow_run(name, function, clusters=list(clusters), parameters=parameters or {})
    ns.apply(code(text=FLOWS), run)


def log_of(ns: Cluster, run: str = "r") -> str:
    return ns.kubectl("logs", "-l", f"flowrun.dev/run={run},flowrun.dev/role=driver", "--tail=-1", check=False)


def succeeded(ns: Cluster, run: str = "r", timeout_s: float = 120) -> None:
    assert ns.wait_result(run, timeout_s)["status"] == "True", ns.describe(run)


class PodWatch:
    """Notes when the first pod of a cluster came and when none was left, with what the driver had printed by then."""

    def __init__(self, ns: Cluster, cluster: str) -> None:
        command = ["kubectl", "--kubeconfig", ns.kubeconfig, "-n", ns.namespace, "get", "pods", "--watch"]
        command += ["-l", f"flowrun.dev/cluster={cluster}", "-o", "json", "--output-watch-events"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.present: set[str] = set()
        self.spans: list[list[float]] = []
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()  # read as it comes, not when a buffer is full
        for event in _json_stream(iter(lambda: os.read(pipe, 1 << 16), b"")):
            name = event["object"]["metadata"]["name"]
            if event["type"] == "DELETED":
                self.present.discard(name)
                if not self.present:
                    self.spans[-1].append(time.time())
            else:
                if not self.present:
                    self.spans.append([time.time()])
                self.present.add(name)

    def stop(self) -> None:
        self._process.terminate()


def _json_stream(chunks: Iterator[bytes]) -> Iterator[Raw]:
    decoder, text = json.JSONDecoder(), ""
    bytes_to_text = codecs.getincrementaldecoder("utf-8")()
    for chunk in chunks:
        text += bytes_to_text.decode(chunk)
        while text := text.lstrip():
            try:
                value, end = decoder.raw_decode(text)
            except ValueError:
                break
            text = text[end:]
            yield value


@pytest.fixture
def pod_watch(ns: Cluster) -> Iterator[Any]:
    watches: list[PodWatch] = []

    def watch(cluster: str) -> PodWatch:
        watches.append(PodWatch(ns, cluster))
        return watches[-1]

    yield watch
    for each in watches:
        each.stop()


def test_a_flow_with_prefects_ray_runner_runs_on_the_runs_own_ray_cluster(ns: Cluster) -> None:
    start(ns, "unmodified", cluster_of("ray"))
    succeeded(ns)
    assert "hosts r-1-ray-w-0 r-1-ray-w-1" in log_of(ns)
    ns.wait_clean("r", 10)


def test_subflows_example_has_ray_pods_only_while_its_subflow_runs(ns: Cluster, pod_watch: Any) -> None:
    watch = pod_watch("ray")
    ns.apply(*yaml.safe_load_all((EXAMPLES / "subflows" / "flowrun.yaml").read_text()))
    succeeded(ns, "subflows")
    driver = ns.driver("subflows")
    assert driver is not None
    printed = log_of(ns, "subflows")
    names = ("arthur", "trillian", "ford", "marvin")
    for name in names:
        assert re.search(rf"Dask: hello {name} from subflows-1-dask-w-\d", printed), printed
        assert re.search(rf"Ray: hello {name} from subflows-1-ray-w-\d", printed), printed
        assert printed.count(f"driver: hello {name} from {driver['metadata']['name']}") == 2, printed
    assert [len(span) for span in watch.spans] == [2], "the pods came once and went"
    born, gone = watch.spans[0]
    runs = ns.prefect(
        "/flow_runs/filter", {"flow_runs": {"name": {"like_": "%"}}, "sort": "START_TIME_DESC", "limit": 10}
    )
    began, ended = _subflow_span(ns, runs)
    assert born > began - 1, "no Ray pod before the subflow"
    assert gone < ended + 10 + BUSY_S, "none 10 s after it"
    ns.wait_clean("subflows", 10)


def _subflow_span(ns: Cluster, runs: list[Raw]) -> tuple[float, float]:
    """When the Ray subflow began and ended, in Prefect's words."""
    parents = {task["id"] for run in ns.prefect_runs("subflows") for task in ns.task_runs(run["id"])}
    own = [run for run in runs if run["parent_task_run_id"] in parents]
    spans = sorted((run["start_time"], run["end_time"]) for run in own)
    began, ended = spans[-1]
    return _seconds(began), _seconds(ended)


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


@pytest.mark.parametrize("engine", ["Dask", "Ray"])
def test_a_cluster_on_demand_has_no_pod_before_its_subflow_and_none_10_s_after_it(
    ns: Cluster, pod_watch: Any, engine: str
) -> None:
    watch = pod_watch("burst")
    start(ns, "around_a_burst", cluster_of("burst", engine, activation="OnDemand", idleSeconds=1))
    ns.wait_for(lambda: ns.driver("r") and ns.condition("r", "DriverRunning").get("status") == "True", 30, "driver")
    assert ns.condition("r", "ClustersReady")["status"] == "True", "a cluster that nobody uses keeps no run waiting"
    ns.wait_for(lambda: "burst is over" in log_of(ns), 60, "burst is over")
    over = time.time()
    ns.wait_for(lambda: not ns.workers("r"), 10, "no pod 10 s after the subflow")
    succeeded(ns)
    assert len(watch.spans) == 1
    assert watch.spans[0][1] < over + 10 + BUSY_S
    ns.wait_clean("r", 10)


@pytest.mark.parametrize("engine", ["Dask", "Ray"])
def test_an_elastic_cluster_grows_with_its_tasks_within_its_bounds_and_shrinks_when_idle(
    ns: Cluster, engine: str
) -> None:
    start(ns, "in_waves", elastic("wide", engine, 1, 3, idleSeconds=2))
    ns.wait_for(lambda: len(ns.workers("r")) == 3, 60, "three workers")
    ns.wait_for(lambda: "wave is over" in log_of(ns), 60, "wave is over")
    assert len(ns.workers("r")) <= 3
    ns.wait_for(lambda: _live(ns) == 1, 20, "one worker is left")
    succeeded(ns)
    ns.wait_clean("r", 10)


def _live(ns: Cluster) -> int:
    return sum(1 for pod in ns.workers("r") if pod["status"]["phase"] in {"Pending", "Running"})


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("no_such_cluster", "no cluster named 'absent'"),
        ("too_many", "asks for 9 workers of cluster 'burst'; the FlowRun allows 1 to 4"),
    ],
)
def test_what_the_run_does_not_have_is_told_by_name(ns: Cluster, function: str, said: str) -> None:
    start(ns, function, elastic("burst", "Ray", 1, 4, activation="OnDemand"))
    result = ns.wait_result("r", 60)
    assert (result["status"], result["reason"]) == ("False", "FlowFailed"), ns.describe("r")
    assert said in result["message"]
    ns.wait_clean("r", 10)


def test_an_engine_that_the_image_lacks_is_told(ns: Cluster) -> None:
    run = flow_run(
        "r", "unmodified", clusters=[cluster_of("ray")], env=[{"name": "PYTHONPATH", "value": "/flowrun/source"}]
    )
    files = code(text=FLOWS)
    files["data"]["sitecustomize.py"] = "import sys\nsys.modules['ray'] = None\n"
    ns.apply(files, run)
    result = ns.wait_result("r", 60)
    assert (result["status"], result["reason"]) == ("False", "ClusterStartupFailed"), ns.describe("r")
    assert "the image lacks the package 'ray'" in result["message"]
    ns.wait_clean("r", 10)


def test_F22_a_lost_ray_worker_is_replaced_and_its_tasks_run_again(ns: Cluster) -> None:
    start(ns, "long_on_ray", cluster_of("ray"), parameters={"n": 40, "seconds": 1.5})
    ns.wait_for(lambda: ns.condition("r", "ClustersReady").get("status") == "True", 60, "workers ready")
    before = {pod["metadata"]["uid"] for pod in ns.workers("r")}
    ns.kubectl("delete", "pod", ns.workers("r")[0]["metadata"]["name"], "--grace-period=0", "--force")
    ns.wait_for(lambda: len({p["metadata"]["uid"] for p in ns.workers("r")} - before) == 1, 20, "a new worker")


@pytest.mark.parametrize("process", [b"raylet/raylet", b"gcs_server"])
def test_F22_a_lost_ray_head_ends_the_attempt_in_seconds(ns: Cluster, process: bytes) -> None:
    start(ns, "long_on_ray", cluster_of("ray"))
    ns.wait_for(lambda: ns.condition("r", "ClustersReady").get("status") == "True", 60, "workers ready")
    uid = ns.run("r")["metadata"]["uid"]
    pids = list(processes(process, f"FLOWRUN_UID={uid}"))
    if not pids:
        pytest.skip("the node's processes can't be reached from here")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pids[-1], signal.SIGKILL)
    result = ns.wait_result("r", 20)
    assert (result["status"], result["reason"]) == ("False", "CoordinatorLost"), ns.describe("r")
    ns.wait_for(lambda: not ns.workers("r"), 10, "workers gone")
    ns.wait_clean("r", 10)


def test_a_ray_worker_of_another_python_is_told_with_both_versions(ns: Cluster) -> None:
    # As an image of its own for the workers would: what Ray compares is made to differ.
    files = code(text=FLOWS)
    files["data"]["sitecustomize.py"] = ODD_PYTHON
    workers = {
        "env": [{"name": "PYTHONPATH", "value": "/odd"}],
        "volumes": [{"name": "odd", "configMap": {"name": "code"}}],
        "volumeMounts": [{"name": "odd", "mountPath": "/odd"}],
    }
    ns.apply(files, flow_run("r", "long_on_ray", clusters=[cluster_of("ray", workers=workers)]))
    result = ns.wait_result("r", 60)
    assert (result["status"], result["reason"]) == ("False", "VersionMismatch"), ns.describe("r")
    assert "3.9.99" in result["message"]
    ns.wait_clean("r", 15)


def test_too_little_memory_for_a_ray_head_is_told_at_once(ns: Cluster) -> None:
    run = flow_run("r", "unmodified", clusters=[cluster_of("ray")])
    run["spec"]["driver"] = {"resources": {"limits": {"memory": "256Mi"}}}
    ns.apply(code(text=FLOWS), run)
    result = ns.wait_result("r", 10)
    assert (result["status"], result["reason"]) == ("False", "InsufficientMemory")
    assert not ns.list("pods")
