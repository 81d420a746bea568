"""Standalone TaskClusters: applied, used from this machine and from a pod, scaled, and put away when idle."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster_tools import Cluster, Raw, code, flow_run, forward

FLOWS = (Path(__file__).parent / "ray_flows.py").read_text()
RESOURCES = {"requests": {"cpu": "100m", "memory": "512Mi"}}
SCRIPT = """
import socket
from prefect import flow, task
from prefect_flowrun import ClusterTaskRunner

@task
def where(i):
    return socket.gethostname()

@flow(task_runner=ClusterTaskRunner("taskcluster/shared"))
def main():
    print("hosts", *sorted(set(where.map(range(4)).result())))

main()
"""


def task_cluster(engine: str = "Dask", replicas: int = 1, **spec: Any) -> Raw:
    workers = {"replicas": replicas, "resources": RESOURCES}
    return {
        "apiVersion": "flowrun.dev/v1alpha1",
        "kind": "TaskCluster",
        "metadata": {"name": "shared"},
        "spec": {"engine": engine, "workers": workers, **spec},
    }


def ready_replicas(ns: Cluster) -> int:
    found = ns.get("taskclusters.flowrun.dev", "shared")
    return int((found or {}).get("status", {}).get("readyReplicas", 0))


def reason(ns: Cluster) -> str:
    conditions = (ns.get("taskclusters.flowrun.dev", "shared") or {}).get("status", {}).get("conditions", [])
    return str(next((c["reason"] for c in conditions if c["type"] == "Ready"), ""))


@contextlib.contextmanager
def port_forward(ns: Cluster, target: str, port: int) -> Iterator[int]:
    command = ["kubectl", "--kubeconfig", ns.kubeconfig, "-n", ns.namespace, "port-forward", target, f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        line = process.stdout.readline() if process.stdout else ""
        found = re.search(r":(\d+) ->", line)
        try:
            assert found, f"no port-forward: {line!r}"
            yield int(found.group(1))
        finally:
            process.terminate()


def test_a_local_script_uses_a_dask_cluster_through_a_port_forward_and_it_is_scaled(
    ns: Cluster, tmp_path: Path
) -> None:
    ns.apply(task_cluster())
    ns.wait_for(lambda: ready_replicas(ns) == 1, 60, "one worker ready")
    ns.kubectl("scale", "taskclusters.flowrun.dev/shared", "--replicas=2")
    ns.wait_for(lambda: ready_replicas(ns) == 2, 60, "two workers ready")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    api = forward(ns.kubeconfig) + "/api"
    with port_forward(ns, "service/shared", 8786) as port:
        env = {**os.environ, "FLOWRUN_TASKCLUSTER_ADDRESS": f"127.0.0.1:{port}", "PREFECT_API_URL": api}
        env["PREFECT_HOME"] = str(tmp_path)
        done = subprocess.run(
            [sys.executable, str(script)], env=env, capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 0, done.stderr
    assert re.search(r"hosts shared-w-\d", done.stdout), done.stdout
    ns.kubectl("scale", "taskclusters.flowrun.dev/shared", "--replicas=0")
    ns.wait_for(lambda: not ns.list("pods"), 15, "a parked cluster has no pod")
    ns.wait_for(lambda: reason(ns) == "Parked", 10, "Parked")


def test_a_pod_uses_a_ray_cluster_that_is_deleted_when_idle(ns: Cluster) -> None:
    ns.apply(task_cluster("Ray", idleSeconds=45, idleAction="Delete"))  # longer than a driver takes to come
    ns.wait_for(lambda: ready_replicas(ns) == 1, 60, "one worker ready")
    token = next(s for s in ns.list("secrets") if s["metadata"]["name"].startswith("shared-ray-"))
    settings = {"secretKeyRef": {"name": token["metadata"]["name"], "key": "token"}}
    env = [{"name": "RAY_AUTH_MODE", "value": "token"}, {"name": "RAY_AUTH_TOKEN", "valueFrom": settings}]
    ns.apply(code(text=FLOWS), flow_run("r", "attached", workers=None, env=env))
    result = ns.wait_result("r", 90)
    assert result["status"] == "True", ns.describe("r")
    ns.wait_for(lambda: ns.get("taskclusters.flowrun.dev", "shared") is None, 60, "idle cluster deleted")
    ns.wait_for(lambda: not [p for p in ns.list("pods") if "shared" in p["metadata"]["name"]], 15, "its pods gone")
    ns.wait_for(lambda: not ns.list("services"), 10, "its Service gone")
