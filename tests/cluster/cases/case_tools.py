"""Cases: small flows and manifests after what users of Prefect, Dask, Ray and their operators have reported as bugs.

A case is a folder: the files of its ConfigMap `code` (`flow.py`, which checks itself, and what lies beside), its
`manifests.yaml`, and a `policy.yaml` where the platform has a say (NAMESPACE and IMAGE are filled in). Each has a
namespace of its own. Most of a case is waiting, so some go on at the same time: those of the next tests are started
while one is looked at. So a test asserts what stays, not what is there while its runs run.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from cluster_tools import Cluster, Raw

HERE = Path(__file__).parent
# Cases under way: more would only wait for the same few cores.
AHEAD = 4


@dataclass
class Case:
    """A case that was started."""

    name: str
    ns: Cluster
    policy: str = ""

    @property
    def runs(self) -> list[str]:
        """The names of its FlowRuns, as its manifests have them."""
        return [m["metadata"]["name"] for m in _manifests(self.name, "", "") if m["kind"] == "FlowRun"]

    def completes(self, run: str, timeout_s: float = 120) -> None:
        """Assert that a flow ends as completed."""
        result = self.ns.wait_result(run, timeout_s)
        assert (result["status"], result["reason"]) == ("True", "FlowCompleted"), self.ns.describe(run)

    def all_complete(self, timeout_s: float = 120) -> None:
        """Assert that all flows of the case end as completed."""
        for run in self.runs:
            self.completes(run, timeout_s)

    def says(self, run: str, type_: str, reason: str, timeout_s: float = 10) -> str:
        """Wait until a condition is False for a reason; return its message."""

        def found() -> Raw | None:
            condition = self.ns.condition(run, type_)
            return condition if (condition.get("status"), condition.get("reason")) == ("False", reason) else None

        what = f"{type_}=False {reason} of {run}"
        return str(self.ns.wait_for(found, timeout_s, what)["message"])

    def lift(self) -> None:
        """Take the policy away."""
        self.ns.kubectl("delete", "-f", "-", stdin=self.policy, namespaced=False)


@dataclass
class Batch:
    """The cases of a session, in the order of their tests."""

    cluster: Cluster
    names: list[str]
    image: str
    started: dict[str, Case] = field(default_factory=dict)

    def case(self, name: str) -> Case:
        """Return a case; it and some that follow it have been started then."""
        here = self.names.index(name)
        for each in self.names[here : here + AHEAD]:
            if each not in self.started:
                self.started[each] = _start(each, self.cluster, self.image)
        return self.started[name]

    def remove(self, case: Case) -> None:
        """Delete a case's namespace and policy."""
        if case.policy:
            case.ns.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=case.policy, namespaced=False, check=False)
        case.ns.kubectl("delete", "namespace", case.ns.namespace, "--wait=false", namespaced=False, check=False)
        self.started.pop(case.name, None)


def _start(name: str, cluster: Cluster, image: str) -> Case:
    ns = Cluster(cluster.kubeconfig, f"case-{uuid.uuid4().hex[:8]}")
    ns.kubectl("create", "namespace", ns.namespace, namespaced=False)
    ns.kubectl("label", "namespace", ns.namespace, "pod-security.kubernetes.io/enforce=restricted", namespaced=False)
    files = {path.name: path.read_text() for path in _files(HERE / name)}
    ns.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code"}, "data": files})
    policy = ""
    if (HERE / name / "policy.yaml").exists():
        policy = (HERE / name / "policy.yaml").read_text().replace("NAMESPACE", ns.namespace)
        ns.kubectl("apply", "-f", "-", stdin=policy, namespaced=False)
        _wait_enforced(ns)
    ns.apply(*_manifests(name, ns.namespace, image))
    return Case(name, ns, policy)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix != ".yaml")


def _manifests(name: str, namespace: str, image: str) -> list[Raw]:
    text = (HERE / name / "manifests.yaml").read_text()
    return list(yaml.safe_load_all(text.replace("NAMESPACE", namespace).replace("IMAGE", image)))


def _wait_enforced(ns: Cluster) -> None:
    """Wait until a new admission policy is in force: it takes a moment to be known."""
    container = {
        "name": "c",
        "image": "none",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 1, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe"},
        "spec": {"containers": [container], "securityContext": security},
    }
    ns.wait_for(lambda: "denied request" in ns.apply(pod, dry_run=True), 15, "policy in force", every_s=0.5)
    time.sleep(1)  # each of the API server's policies is compiled by itself
