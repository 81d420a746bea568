"""Install dask-kubernetes' operator from the bench image, and the account of its drivers; remove both."""

from __future__ import annotations

from kube import Kube, Raw, wait
from peer import SERVICE_ACCOUNT
from settings import HERE, Settings, new_namespace

NAME = "flowrun-bench-dask-operator"
# CRDs that carry it are ours to remove; those of an operator that was there before are not.
LABEL = "flowrun.dev/benchmark=true"
_ALL = ["get", "list", "watch", "patch", "create", "delete"]
_READ = ["get", "list", "watch"]
# As in the chart of dask-kubernetes; `create` of CRDs is for our init container.
_OPERATOR_RULES = [
    {"apiGroups": ["kopf.dev"], "resources": ["clusterkopfpeerings"], "verbs": ["list", "watch", "patch", "get"]},
    {
        "apiGroups": ["apiextensions.k8s.io"],
        "resources": ["customresourcedefinitions"],
        "verbs": ["list", "watch", "get", "create"],
    },
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]},
    {
        "apiGroups": ["kubernetes.dask.org"],
        "resources": [
            "daskclusters",
            "daskworkergroups",
            "daskjobs",
            "daskjobs/status",
            "daskautoscalers",
            "daskworkergroups/scale",
        ],
        "verbs": _ALL,
    },
    {"apiGroups": [""], "resources": ["pods", "pods/status", "services", "services/status"], "verbs": ["*"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "deployments/status"], "verbs": ["*"]},
    {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["*"]},
]
_DRIVER_RULES = [
    {"apiGroups": ["kubernetes.dask.org"], "resources": ["*"], "verbs": _ALL},
    {"apiGroups": [""], "resources": ["pods", "pods/log", "services", "events"], "verbs": _READ},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": _READ},
]


def install(kube: Kube, settings: Settings) -> None:
    """Install and wait until the operator runs."""
    home = settings.peer_namespace
    new_namespace(kube, home)
    script = {"install_crds.py": (HERE / "install_crds.py").read_text()}
    kube.create("configmaps", home, {"metadata": {"name": NAME}, "data": script}, replace=True)
    kube.create("serviceaccounts", home, {"metadata": {"name": NAME}})
    kube.create("clusterroles", None, {"metadata": {"name": NAME}, "rules": _OPERATOR_RULES}, replace=True)
    kube.create("clusterrolebindings", None, _binding("ClusterRole", NAME, NAME, home))
    kube.create("serviceaccounts", settings.namespace, {"metadata": {"name": SERVICE_ACCOUNT}})
    role = {"metadata": {"name": SERVICE_ACCOUNT}, "rules": _DRIVER_RULES}
    kube.create("roles", settings.namespace, role, replace=True)
    binding = _binding("Role", SERVICE_ACCOUNT, SERVICE_ACCOUNT, settings.namespace)
    kube.create("rolebindings", settings.namespace, binding)
    kube.create("deployments", home, _deployment(settings.image), replace=True)
    wait(lambda: _ready(kube, home), 120, "the dask-kubernetes operator runs: see its pod in " + home)


def remove(kube: Kube, settings: Settings) -> None:
    """Remove everything that the benchmark has installed, the namespace of the runs included."""
    for crd in kube.list("customresourcedefinitions", None, LABEL):
        kube.delete("customresourcedefinitions", None, crd["metadata"]["name"])
    kube.delete("clusterrolebindings", None, NAME)
    kube.delete("clusterroles", None, NAME)
    for namespace in (settings.peer_namespace, settings.namespace):
        kube.delete("namespaces", None, namespace)


def _ready(kube: Kube, namespace: str) -> bool:
    found = kube.get("deployments", namespace, NAME)
    status = (found or {}).get("status", {})
    return bool(status.get("readyReplicas")) and status.get("observedGeneration") == found["metadata"]["generation"]


def _binding(kind: str, role: str, account: str, namespace: str) -> Raw:
    return {
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }


def _deployment(image: str) -> Raw:
    base = {"image": image, "imagePullPolicy": "IfNotPresent", "env": [{"name": "HOME", "value": "/tmp"}]}
    command = ["kopf", "run", "-m", "dask_kubernetes.operator.controller", "--all-namespaces"]
    container = {
        **base,
        "name": "operator",
        "command": [*command, "--liveness=http://0.0.0.0:8080/healthz"],
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
    }
    crds = {
        **base,
        "name": "crds",
        "command": ["python", "/scripts/install_crds.py", LABEL],
        "volumeMounts": [{"name": "scripts", "mountPath": "/scripts"}],
    }
    spec = {
        "serviceAccountName": NAME,
        "initContainers": [crds],
        "containers": [container],
        "volumes": [{"name": "scripts", "configMap": {"name": NAME}}],
    }
    labels = {"app": NAME}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "metadata": {"name": NAME, "labels": labels},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }
