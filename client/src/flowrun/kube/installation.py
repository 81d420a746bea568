"""What the chart has installed: the operator, and perhaps a Prefect server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flowrun.kube.connection import Connection, asking
from flowrun.problem import Gone

Raw = dict[str, Any]

_NAME = "app.kubernetes.io/name=flowrun-operator"
_VERSION = "app.kubernetes.io/version"
_RUNTIME_IMAGE = "FLOWRUN_OPERATOR_DEFAULT_IMAGE"
_PREFECT = "FLOWRUN_OPERATOR_PREFECT_API_URL"


@dataclass(frozen=True)
class Operator:
    """The operator's Deployment."""

    namespace: str
    name: str
    version: str
    """Of the chart's application; empty if its labels don't say."""
    replicas: int
    available: int
    runtime_image: str
    prefect_api_url: str
    """That runs get which name none; empty: the operator knows none."""


def operators(connection: Connection) -> list[Operator]:
    """Return the operators of the cluster: one, unless somebody has installed more.

    Raises:
        Problem: the cluster does not tell, for want of a right for example.
    """
    with asking("look for the operator"):
        query = {"labelSelector": f"{_NAME},app.kubernetes.io/component=operator"}
        found = connection.request("GET", "/apis/apps/v1/deployments", query=query)
    return [_operator(item) for item in found["items"]]


def _operator(deployment: Raw) -> Operator:
    metadata, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status", {})
    variables = spec["template"]["spec"]["containers"][0].get("env") or []
    env = {entry["name"]: str(entry.get("value", "")) for entry in variables}
    return Operator(
        metadata["namespace"],
        metadata["name"],
        str((metadata.get("labels") or {}).get(_VERSION, "")),
        int(spec.get("replicas", 1)),
        int(status.get("availableReplicas") or 0),
        env.get(_RUNTIME_IMAGE, ""),
        env.get(_PREFECT, ""),
    )


def prefect_server(connection: Connection) -> tuple[str, str]:
    """Return namespace and name of a pod of the bundled Prefect server.

    Raises:
        Gone: there is none.
        Problem: the cluster does not tell.
    """
    query = {"labelSelector": f"{_NAME},app.kubernetes.io/component=prefect-server"}
    with asking("look for the bundled Prefect server"):
        found = connection.request("GET", "/api/v1/pods", query=query)
    running = [pod for pod in found["items"] if pod.get("status", {}).get("phase") == "Running"]
    if not running:
        raise Gone("there is no bundled Prefect server that runs; your own has its pages where PREFECT_UI_URL says")
    metadata = running[-1]["metadata"]
    return metadata["namespace"], metadata["name"]
