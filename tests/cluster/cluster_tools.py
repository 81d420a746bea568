"""What the tests on a real cluster need: kubectl, waiting, and Prefect's API."""

from __future__ import annotations

import atexit
import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Raw = dict[str, Any]

# How long things take is told by `record_property`, and judged by no test.
BUSY_S = 40

SIMPLE_FLOW = """
import os, socket, time
from prefect import flow, task

@task(log_prints=True)
def where(i, seconds=0.0):
    time.sleep(seconds)
    print("task", i)
    return socket.gethostname()

@flow
def main(n: int = 4, seconds: float = 0.0):
    hosts = [f.result() for f in [where.submit(i, seconds) for i in range(n)]]
    return sorted(set(hosts))

@flow
def fails():
    where.submit(0).result()
    raise ValueError("the flow's own error")
"""


@dataclass
class Cluster:
    """kubectl with a kubeconfig, in one namespace."""

    kubeconfig: str
    namespace: str

    def kubectl(self, *args: str, namespaced: bool = True, check: bool = True, stdin: str | None = None) -> str:
        scope = ["--namespace", self.namespace] if namespaced and self.namespace else []
        command = ["kubectl", "--kubeconfig", self.kubeconfig, *scope, *args]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    def apply(self, *manifests: Raw, dry_run: bool = False) -> str:
        """Apply manifests; the error text is returned with dry_run (nothing is stored then)."""
        # JSON, not PyYAML's YAML: it leaves a key `n` unquoted, which Kubernetes reads as false (YAML 1.1).
        text = "\n".join(json.dumps(manifest) for manifest in manifests)
        if dry_run:
            return self.kubectl("apply", "--dry-run=server", "-f", "-", stdin=text, check=False)
        # Server-side: kubectl's own apply leaves out what is null, which a flow's parameter may be.
        return self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)

    def get(self, kind: str, name: str) -> Raw | None:
        out = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(out) if out.strip() else None

    def list(self, kind: str, selector: str = "") -> list[Raw]:
        args = ["get", kind, "-o", "json"] + (["-l", selector] if selector else [])
        items: list[Raw] = json.loads(self.kubectl(*args))["items"]
        return items

    def pods(self, selector: str) -> list[Raw]:
        return self.list("pods", selector)

    def workers(self, run: str) -> list[Raw]:
        return self.pods(f"flowrun.dev/run={run},flowrun.dev/role=worker")

    def driver(self, run: str) -> Raw | None:
        found = self.pods(f"flowrun.dev/run={run},flowrun.dev/role=driver")
        return found[0] if found else None

    def run(self, name: str) -> Raw:
        found = self.get("flowruns.flowrun.dev", name)
        assert found is not None, f"FlowRun {name} is gone"
        return found

    def condition(self, name: str, type_: str) -> Raw:
        conditions = self.run(name).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == type_), {})

    def wait_for(self, check: Callable[[], Any], timeout_s: float, what: str, every_s: float = 0.3) -> Any:
        """Wait until a check answers with something.

        Args:
            check: asked again and again.
            timeout_s: what it may take on an idle machine; it gets `BUSY_S` more, since other tests run beside.
            what: is waited for.
            every_s: between two checks.
        """
        end = time.monotonic() + timeout_s + BUSY_S
        while True:
            value = check()
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"not within {timeout_s} s and {BUSY_S} s of patience: {what}")
            time.sleep(every_s)

    def wait_result(self, name: str, timeout_s: float = 120) -> Raw:
        """Wait for the run's result and return the condition Succeeded."""

        def result() -> Raw | None:
            found = self.condition(name, "Succeeded")
            return found if found.get("status") in {"True", "False"} else None

        try:
            return self.wait_for(result, timeout_s, f"result of {name}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.describe(name)}") from error

    def describe(self, name: str) -> str:
        parts = [
            self.kubectl("get", "flowruns.flowrun.dev", name, "-o", "yaml", check=False),
            self.kubectl("get", "pods", "-o", "wide", check=False),
            self.kubectl("logs", "-l", f"flowrun.dev/run={name}", "--tail=40", "--prefix", check=False),
        ]
        return "\n".join(parts)

    def patch(self, run: str, **spec: Any) -> None:
        self.kubectl("patch", "flowruns.flowrun.dev", run, "--type=merge", "-p", json.dumps({"spec": spec}))

    def children(self, run: str) -> dict[str, list[str]]:
        """Names of everything of ours that carries the run's label, but the record: finished Jobs and their pods."""
        left: dict[str, list[str]] = {}
        kinds = ("pods", "services", "jobs", "secrets", "serviceaccounts", "roles", "rolebindings")
        for kind in (*kinds, "taskclusters.flowrun.dev"):
            for item in self.list(kind, f"flowrun.dev/run={run}"):
                role = item["metadata"]["labels"].get("flowrun.dev/role")
                ended = item.get("status", {}).get("phase") in {"Succeeded", "Failed"}
                if (kind == "pods" and role == "driver" and ended) or kind == "jobs":
                    continue
                left.setdefault(kind, []).append(item["metadata"]["name"])
        return left

    def left(self) -> list[str]:
        """Return everything of ours in the namespace but FlowRuns, ended Jobs and their ended pods."""
        kinds = ("services", "secrets", "serviceaccounts", "roles", "rolebindings", "networkpolicies")
        found = [f"{kind}/{item['metadata']['name']}" for kind in kinds for item in self.list(kind, "flowrun.dev/run")]
        found += [f"taskclusters/{item['metadata']['name']}" for item in self.list("taskclusters.flowrun.dev")]
        for pod in self.list("pods"):
            ended = pod["status"].get("phase") in {"Succeeded", "Failed"}
            driver = pod["metadata"]["labels"].get("flowrun.dev/role") == "driver"
            if not (driver and ended):
                found.append(f"pods/{pod['metadata']['name']}")
        found += [f"jobs/{job['metadata']['name']}" for job in self.list("jobs") if job["status"].get("active")]
        return found

    def wait_clean(self, run: str, timeout_s: float) -> None:
        self.wait_for(lambda: not self.children(run), timeout_s, f"children of {run} gone: {self.children(run)}")

    def prefect(self, path: str, body: Raw) -> Any:
        """POST to the bundled Prefect server."""
        request = urllib.request.Request(f"{forward(self.kubeconfig)}/api{path}", json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.loads(response.read())

    def prefect_runs(self, run: str) -> list[Raw]:
        uid = self.run(run)["metadata"]["uid"]
        return self.prefect_runs_of_uid(uid)

    def prefect_runs_of_uid(self, uid: str) -> list[Raw]:
        wanted = {"flow_runs": {"idempotency_key": {"any_": [f"flowrun-{uid}"]}}}
        found: list[Raw] = self.prefect("/flow_runs/filter", wanted)
        return found

    def task_runs(self, flow_run_id: str) -> list[Raw]:
        body = {"flow_runs": {"id": {"any_": [flow_run_id]}}, "limit": 200}
        found: list[Raw] = self.prefect("/task_runs/filter", body)
        return found


_forwards: dict[str, tuple[subprocess.Popen[str], str]] = {}


def forward(kubeconfig: str) -> str:
    """Return the URL of a port-forward to the bundled Prefect server, started at first use and when it has died."""
    known = _forwards.get(kubeconfig)
    if known is not None and known[0].poll() is None:
        return known[1]
    release = Cluster(kubeconfig, "flowrun-system")
    name = release.list("services", "app.kubernetes.io/component=prefect-server")[0]["metadata"]["name"]
    command = ["kubectl", "--kubeconfig", kubeconfig, "-n", "flowrun-system", "port-forward", f"svc/{name}", ":4200"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    atexit.register(process.terminate)
    line = process.stdout.readline() if process.stdout else ""
    found = re.search(r":(\d+) ->", line)
    if found is None:
        raise RuntimeError(f"no port-forward to {name}: {line!r}")
    _forwards[kubeconfig] = (process, f"http://127.0.0.1:{found.group(1)}")
    return _forwards[kubeconfig][1]


def code(name: str = "code", text: str = SIMPLE_FLOW) -> Raw:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"flow.py": text}}


def flow_run(name: str = "r", function: str = "main", workers: int | None = 2, **spec: Any) -> Raw:
    clusters = [] if workers is None else [{"name": "default", "engine": "Dask", "workers": {"replicas": workers}}]
    flow = {"entrypoint": f"flow.py:{function}", "source": {"configMap": "code"}}
    if "parameters" in spec:
        flow["parameters"] = spec.pop("parameters")
    return {
        "apiVersion": "flowrun.dev/v1alpha1",
        "kind": "FlowRun",
        "metadata": {"name": name},
        "spec": {"flow": flow, "clusters": clusters, **spec},
    }


def start_long(
    ns: Cluster, engine: str = "Dask", n: int = 40, seconds: float = 2.0, text: str = SIMPLE_FLOW, **spec: Any
) -> str:
    """Start a run of n tasks on two workers and wait until tasks run; return its uid."""
    run = flow_run(parameters={"n": n, "seconds": seconds}, **spec)
    if engine == "Ray":
        resources = {"requests": {"cpu": "100m", "memory": "512Mi"}}
        run["spec"]["clusters"][0] |= {"engine": "Ray", "workers": {"replicas": 2, "resources": resources}}
    ns.apply(code(text=text), run)
    ns.wait_for(lambda: ns.condition("r", "ClustersReady").get("status") == "True", 60, "workers ready")
    uid = str(ns.run("r")["metadata"]["uid"])
    ns.wait_for(lambda: ns.prefect_runs("r") and ns.task_runs(ns.prefect_runs("r")[0]["id"]), 30, "tasks run")
    return uid


def live(pods: list[Raw]) -> list[str]:
    """Return the names of the pods whose containers have not ended."""
    return [pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") not in {"Succeeded", "Failed"}]


def wait_task_runs_ended(ns: Cluster, flow_run_id: str, allowed: set[str], timeout_s: float = 30) -> list[Raw]:
    """Wait until each task run of a flow run has one of these states; return them."""

    def odd() -> list[str]:
        return [t["state_type"] for t in ns.task_runs(flow_run_id) if t["state_type"] not in allowed]

    ns.wait_for(lambda: not odd(), timeout_s, f"task runs {allowed}, not {odd()}")
    return ns.task_runs(flow_run_id)
