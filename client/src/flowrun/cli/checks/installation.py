"""An installation, and what its user may do: each look is made with the user's own rights, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowrun.cli.checks.finding import Finding, bad, note, ok
from flowrun.kube.connection import Connection, asking
from flowrun.kube.installation import Operator
from flowrun.problem import Problem
from flowrun_api.constants import API_VERSION, CLUSTERS, GROUP, RUNS

Raw = dict[str, Any]

_INSTALL = "helm install flowrun charts/flowrun-operator"
# Group, resource and verb, and what it is for.
_RIGHTS = (
    (GROUP, RUNS, "create", "flowrun run"),
    (GROUP, RUNS, "patch", "flowrun cancel, suspend and resume"),
    (GROUP, RUNS, "list", "flowrun list"),
    ("", "configmaps", "patch", "flowrun run file.py:flow"),
    ("", "pods", "list", "flowrun get"),
    ("", "pods/log", "get", "flowrun logs"),
    ("", "pods/portforward", "get", "flowrun dashboard"),
)
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_NEARLY = 0.9


def api(connection: Connection) -> Iterator[Finding]:
    """Look whether the cluster answers and knows our kinds.

    Raises:
        Problem: it does not answer: there is no use in looking further.
    """
    with asking("reach the cluster"):
        version = connection.request("GET", "/version")
    yield ok(f"the cluster answers: Kubernetes {version['gitVersion']}")
    try:
        with asking("look for the CRDs"):
            found = connection.request("GET", f"/apis/{API_VERSION}")
        missing = {RUNS, CLUSTERS} - {item["name"] for item in found["resources"]}
    except Problem:
        missing = {RUNS, CLUSTERS}
    if missing:
        yield bad(f"the CRDs of {', '.join(sorted(missing))} are missing", f"install the chart: {_INSTALL}")
    else:
        yield ok(f"the CRDs are there: {API_VERSION}")


def operator(found: list[Operator], own_version: str) -> Iterator[Finding]:
    """Look at the operator and its version.

    Args:
        found: the operators of the cluster.
        own_version: of this command.
    """
    if not found:
        yield bad("there is no operator", f"install the chart: {_INSTALL}")
    for each in found:
        what = f"operator {each.namespace}/{each.name} {each.version}".rstrip()
        if each.available < 1:
            yield bad(f"{what}: none is ready", f"kubectl -n {each.namespace} describe deployment {each.name}")
        else:
            yield ok(f"{what}: {each.available} of {each.replicas} ready")
        if each.version and each.version != own_version:
            yield note(f"this command is {own_version}, the operator {each.version}", "take the older one to the newer")
        if not each.prefect_api_url:
            yield note("the operator knows no Prefect API", "set prefect.apiUrl in the chart, or spec.prefect.apiUrl")


def rights(connection: Connection) -> Iterator[Finding]:
    """Look which commands the user may use in the namespace.

    Raises:
        Problem: the cluster does not tell.
    """
    refused = False
    for group, resource, verb, used in _RIGHTS:
        name, _, sub = resource.partition("/")
        attributes = {"namespace": connection.namespace, "verb": verb, "group": group, "resource": name}
        attributes |= {"subresource": sub} if sub else {}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        with asking("look what you may do"):
            answer = connection.request("POST", _REVIEWS, body)
        if not answer["status"]["allowed"]:
            refused = True
            yield note(f"you may not {verb} {resource}: {used}", "an admin binds you to the ClusterRole flowrun-editor")
    if not refused:
        yield ok(f"you may do all that the command does in namespace {connection.namespace}")


def quotas(connection: Connection) -> Iterator[Finding]:
    """Look whether a quota of the namespace leaves room.

    Raises:
        Problem: the cluster does not tell.
    """
    with asking("look for quotas"):
        found = connection.request("GET", f"/api/v1/namespaces/{connection.namespace}/resourcequotas")
    near = False
    for quota in found["items"]:
        status = quota.get("status", {})
        for resource, hard in (status.get("hard") or {}).items():
            used = (status.get("used") or {}).get(resource, "0")
            if _part(used, hard) >= _NEARLY:
                near = True
                yield note(f"quota {quota['metadata']['name']}: {used} of {hard} {resource} are used", "runs will wait")
    if not near:
        yield ok(f"{len(found['items'])} quotas, none of them nearly used up" if found["items"] else "no quotas")


def taken(connection: Connection) -> Iterator[Finding]:
    """Look whether a run would be taken: a policy or a webhook of the cluster may refuse it."""
    manifest: Raw = {
        "apiVersion": API_VERSION,
        "kind": "FlowRun",
        "metadata": {"name": "flowrun-doctor"},
        "spec": {"flow": {"entrypoint": "flow.py:flow"}, "clusters": [{"name": "default", "engine": "Dask"}]},
    }
    from flowrun.kube.runs import Runs  # noqa: PLC0415 - beside the one use

    try:
        Runs(connection).create(manifest, dry_run=True)
        yield ok("a run would be taken")
    except Problem as problem:
        yield bad(str(problem))


def _part(used: str, hard: str) -> float:
    from kubernetes.utils.quantity import parse_quantity  # noqa: PLC0415 - beside the one use

    try:
        whole = float(parse_quantity(hard))
        return float(parse_quantity(used)) / whole if whole else 1.0
    except ValueError:
        return 0.0
