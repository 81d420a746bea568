"""Pods that fit Pod Security "restricted", with the user's options laid over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flowrun_api.constants import MAIN_CONTAINER
from flowrun_api.kinds.common import PodMetadata, PodOptions, PodSecurity, Resources, SecretKey
from flowrun_operator.build.labels import with_users
from flowrun_operator.build.merge import merged
from flowrun_operator.build.template import as_object
from flowrun_operator.build.volumes import Volumes, beside_users

# The user of our images.
_OUR_USER = PodSecurity(run_as_user=10001, run_as_group=10001, fs_group=10001)
_TMP = {"name": "tmp", "emptyDir": {}}
_TMP_MOUNT = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108
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
    # The user's, of all pods; weaker than those of a pod template.
    metadata: PodMetadata = field(default_factory=PodMetadata)
    # None: the user of our images.
    security: PodSecurity | None = None
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
    beside = beside_users(Volumes([_TMP, *parts.volumes], [_TMP_MOUNT, *parts.mounts]), options)
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        # Only a driver that scales its clusters talks to the Kubernetes API.
        "automountServiceAccountToken": parts.account is not None,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": parts.grace_s,
        "securityContext": {
            "runAsNonRoot": True,
            **(parts.security or _OUR_USER).to_api(),
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(parts, options, beside.mounts)],
        "volumes": beside.volumes,
    }
    optional = {
        "imagePullSecrets": parts.pull_secrets,
        "nodeSelector": options.node_selector,
        "tolerations": options.tolerations,
        "affinity": options.affinity,
        "serviceAccountName": options.service_account_name or parts.account,
    }
    spec.update({key: value for key, value in optional.items() if value})
    template: dict[str, Any] = merged({"metadata": parts.metadata.to_api(), "spec": spec}, options.pod_template or {})
    # The user's template has no schema: it may hold null.
    metadata = as_object(template["metadata"])
    return {**template, "metadata": {**metadata, "labels": with_users(as_object(metadata.get("labels")), parts.labels)}}


def from_field(name: str, path: str) -> dict[str, Any]:
    """Return an environment entry with a field of the pod itself."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def from_secret(name: str, secret: SecretKey) -> dict[str, Any]:
    """Return an environment entry with a value of a Secret."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret.name, "key": secret.key}}}


def _container(parts: PodParts, options: PodOptions, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": MAIN_CONTAINER,
        "image": options.image or parts.image,
        "command": parts.command,
        # Kubernetes takes the last of two entries with one name: the contract wins over the user's.
        "env": [*parts.default_env, *(options.env or []), *parts.env],
        "terminationMessagePolicy": "File",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": mounts,
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
