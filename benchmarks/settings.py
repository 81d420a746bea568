"""What the parts of the benchmark share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kube import Kube, Raw, wait

HERE = Path(__file__).resolve().parent
# For drivers, schedulers and workers of both systems. No CPU limits.
RESOURCES: Raw = {"requests": {"cpu": "100m", "memory": "400Mi"}}
OPERATOR = "app.kubernetes.io/component=operator"
# The bars of the project; printed for information.
RATIO_BAR = 0.62
RAY_BAR_S = 9.5
WRITES_BAR = 12
MEMORY_BAR_MB = 150.0


@dataclass(frozen=True)
class Settings:
    """One invocation."""

    image: str
    prefect_api_url: str
    # The API server's proxy to the bundled Prefect server; None with another one.
    prefect_proxy: str | None
    operator_namespace: str
    namespace: str = "flowrun-bench-runs"
    peer_namespace: str = "flowrun-bench"
    workers: int = 2


def read_settings(kube: Kube) -> Settings:
    """Find the installed operator and its Prefect server.

    Raises:
        SystemExit: the chart is not installed.
    """
    found = [d for d in kube.list("deployments", None, OPERATOR) if "flowrun" in d["metadata"]["name"]]
    if not found:
        raise SystemExit("bench: the chart is not installed; run `make install`")
    namespace = found[0]["metadata"]["namespace"]
    env = found[0]["spec"]["template"]["spec"]["containers"][0].get("env", [])
    url = next((e.get("value", "") for e in env if e["name"] == "FLOWRUN_OPERATOR_PREFECT_API_URL"), "")
    servers = kube.list("services", namespace, "app.kubernetes.io/component=prefect-server")
    proxy = None
    if servers:
        name = servers[0]["metadata"]["name"]
        proxy = f"/api/v1/namespaces/{namespace}/services/{name}:4200/proxy/api"
    tag = os.environ.get("IMAGE_TAG", "dev")
    return Settings(
        image=f"{os.environ.get('IMAGE_REGISTRY', 'localhost')}/flowrun-bench:{tag}",
        prefect_api_url=url,
        prefect_proxy=proxy,
        operator_namespace=namespace,
    )


def operator_pod(kube: Kube, settings: Settings) -> Raw | None:
    """Return the operator's running pod."""
    pods = kube.list("pods", settings.operator_namespace, OPERATOR)
    return next((p for p in pods if p["status"].get("phase") == "Running" and not gone(p)), None)


def gone(object_: Raw) -> bool:
    return "deletionTimestamp" in object_["metadata"]


def new_namespace(kube: Kube, name: str) -> None:
    """Create a namespace unless it is there; one that is being deleted is waited for."""
    wait(lambda: not gone(kube.get("namespaces", None, name) or {"metadata": {}}), 60, f"namespace {name} gone")
    kube.create("namespaces", None, {"metadata": {"name": name}})


def prepare(kube: Kube, settings: Settings) -> None:
    """Create the namespace of the runs and the ConfigMap with the flow."""
    new_namespace(kube, settings.namespace)
    data = {"flow.py": (HERE / "flow.py").read_text()}
    kube.create("configmaps", settings.namespace, {"metadata": {"name": "bench"}, "data": data}, replace=True)
