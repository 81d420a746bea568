"""Pods that fit Pod Security "restricted", with the user's options laid over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flowrun_operator.api.common import PodOptions, Resources, SecretKey
from flowrun_operator.api.constants import MAIN_CONTAINER
from flowrun_operator.build.merge import merged

_USER_ID = 10001
# -P: not with the working directory first on the path. There the flow's files are, and one of them may be named as a
# module that our processes import; they put the folder on the path once they have imported what they need.
PYTHON = ("python", "-P", "-m")


@dataclass(frozen=True)
class PodParts:
    """What a pod is made of beside the user's options."""

    command: list[str]
    env: list[dict[str, Any]]
    image: str
    labels: dict[str, str]
    grace_s: int
    pull_policy: str | None = None
    pull_secrets: list[dict[str, Any]] | None = None
    resources: Resources | None = None
    # Weaker than the user's own entries, while `env` is stronger.
    default_env: list[dict[str, Any]] = field(default_factory=list)
    ports: list[dict[str, Any]] = field(default_factory=list)
    readiness_probe: dict[str, Any] | None = None
    working_dir: str | None = None
    # An account whose token the pod gets, unless the user names another one; None: no token.
    account: str | None = None
    volumes: list[dict[str, Any]] = field(default_factory=list)
    mounts: list[dict[str, Any]] = field(default_factory=list)


def env(**values: str | int | None) -> list[dict[str, Any]]:
    """Return environment entries with these very values; None leaves one out."""
    # Kubernetes puts the value of another variable in the place of $(NAME), and $ in that of $$.
    exact = {name: str(value).replace("$", "$$") for name, value in values.items() if value is not None}
    return [{"name": name, "value": value} for name, value in exact.items()]


def pod_template(parts: PodParts, options: PodOptions) -> dict[str, Any]:
    """Return metadata and spec of a pod.

    Args:
        parts: What we put in.
        options: What the user asked for; `podTemplate` is merged last and may change anything.
    """
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        # Only a driver that scales its clusters talks to the Kubernetes API.
        "automountServiceAccountToken": parts.account is not None,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": parts.grace_s,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER_ID,
            "runAsGroup": _USER_ID,
            "fsGroup": _USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(parts, options)],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *parts.volumes, *(options.volumes or [])],
    }
    optional = {
        "imagePullSecrets": parts.pull_secrets,
        "nodeSelector": options.node_selector,
        "tolerations": options.tolerations,
        "affinity": options.affinity,
        "serviceAccountName": options.service_account_name or parts.account,
    }
    spec.update({key: value for key, value in optional.items() if value})
    template: dict[str, Any] = merged({"metadata": {}, "spec": spec}, options.pod_template or {})
    # Ours last: without its labels a pod would be lost to us. The user's template has no schema: it may hold null.
    metadata = _object(template["metadata"])
    return {**template, "metadata": {**metadata, "labels": {**_object(metadata.get("labels")), **parts.labels}}}


def from_field(name: str, path: str) -> dict[str, Any]:
    """Return an environment entry with a field of the pod itself."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def from_secret(name: str, secret: SecretKey) -> dict[str, Any]:
    """Return an environment entry with a value of a Secret."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret.name, "key": secret.key}}}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _container(parts: PodParts, options: PodOptions) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": MAIN_CONTAINER,
        "image": options.image or parts.image,
        "command": parts.command,
        # Kubernetes takes the last of two entries with one name: the contract wins over the user's.
        "env": [*parts.default_env, *(options.env or []), *parts.env],
        "terminationMessagePolicy": "File",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *parts.mounts, *(options.volume_mounts or [])],  # noqa: S108
    }
    resources = options.resources or parts.resources
    optional = {
        "envFrom": options.env_from,
        "imagePullPolicy": parts.pull_policy,
        "ports": parts.ports,
        "readinessProbe": parts.readiness_probe,
        "workingDir": parts.working_dir,
        "resources": resources.to_api() if resources else None,
    }
    container.update({key: value for key, value in optional.items() if value})
    return container
