"""Where the coordinator of a cluster listens: in a run's driver, or in a pod of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from flowrun.kube.container_state import running
from flowrun.kube.pods import Pods
from flowrun.problem import Gone, Problem
from flowrun_api import environment
from flowrun_api.constants import LABEL_ROLE, LABEL_STANDALONE, ROLE_COORDINATOR

Raw = dict[str, Any]

_TOKEN_VARIABLE = "RAY_AUTH_TOKEN"  # noqa: S105 - its name


@dataclass(frozen=True)
class Coordinator:
    """A Dask scheduler or Ray head that runs."""

    pod: str
    cluster: str
    engine: str
    port: int
    """Of the engine's protocol."""
    http_port: int
    dashboard: bool
    """Whether it serves one."""
    token: tuple[str, str] | None = None
    """Name and key of the Secret with the token that a Ray dashboard asks for."""

    @property
    def dashboard_path(self) -> str:
        """The dashboard's first page."""
        return "/status" if self.engine == "Dask" else ""


def of_run(pods: Pods, run: Raw, cluster: str | None) -> Coordinator:
    """Return the coordinator of a run's cluster.

    Args:
        pods: of the namespace.
        run: the FlowRun.
        cluster: its name; None: the only one.

    Raises:
        Problem: the run has no driver now, or no such cluster.
    """
    name = run["metadata"]["name"]
    drivers = [pod for pod in pods.drivers(run["metadata"]["uid"]) if running(pod)]
    if not drivers:
        raise Gone(f"{name} has no driver that runs now: flowrun get {name}")
    return _chosen(_coordinators(drivers[-1]), name, cluster)


def standalone(pods: Pods, name: str) -> Coordinator:
    """Return the coordinator of a standalone cluster.

    Args:
        pods: of the namespace.
        name: of the TaskCluster.

    Raises:
        Problem: it has none now: it is parked, or not started yet.
    """
    found = pods.labelled({LABEL_STANDALONE: name, LABEL_ROLE: ROLE_COORDINATOR})
    coordinators = [pod for pod in found if running(pod)]
    if not coordinators:
        raise Gone(f"cluster {name} has no coordinator that runs now; if it is parked: flowrun cluster scale {name} 1")
    return _chosen(_coordinators(coordinators[-1]), name, None)


def _chosen(coordinators: list[Coordinator], name: str, cluster: str | None) -> Coordinator:
    fitting = [each for each in coordinators if cluster in (None, each.cluster)]
    there_are = ", ".join(each.cluster for each in coordinators) or "none"
    if not fitting:
        raise Problem(f"{name} has no cluster {cluster or ''}".rstrip() + f"; there are: {there_are}")
    if len(fitting) > 1:
        raise Problem(f"{name} has several clusters, name one: {there_are}")
    return fitting[0]


def _coordinators(pod: Raw) -> list[Coordinator]:
    """Read what the operator has told a pod of the clusters whose coordinators it holds."""
    variables = [entry for each in pod["spec"]["containers"] for entry in each.get("env") or []]
    told = next((entry.get("value") for entry in variables if entry["name"] == environment.CLUSTERS), None)
    of_token = [entry for entry in variables if entry["name"] == _TOKEN_VARIABLE]
    secrets = [(entry.get("valueFrom") or {}).get("secretKeyRef") for entry in of_token]
    token = next(((secret["name"], secret["key"]) for secret in secrets if secret), None)
    try:
        return [
            Coordinator(
                pod["metadata"]["name"],
                cluster["name"],
                cluster["engine"],
                int(cluster["port"]),
                int(cluster["httpPort"]),
                bool(cluster.get("dashboard")),
                token,
            )
            for cluster in json.loads(told or "[]")
        ]
    except (ValueError, KeyError, TypeError):
        name = pod["metadata"]["name"]
        raise Problem(f"pod {name}: {environment.CLUSTERS} is not what this command understands") from None
