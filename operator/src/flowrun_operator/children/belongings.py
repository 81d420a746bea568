"""What an attempt has for itself: Secrets, and the right to scale its own clusters.

All of it is made before the Job, whose pod could not start without, and goes when the attempt has ended. It is owned by
the FlowRun, so that nothing stays should the operator be gone by then.
"""

from __future__ import annotations

from typing import Any

from flowrun_api.constants import GROUP
from flowrun_api.kinds.common import Engine, PrefectOptions, SecretKey
from flowrun_api.kinds.flowrun import FlowRun
from flowrun_api.kinds.naming import cluster_name, own_name
from flowrun_operator.build.labels import labels, owner, with_users
from flowrun_operator.build.secrets import KEY_IN_SECRET, TOKEN_IN_SECRET, secret
from flowrun_operator.children.parameters import parameters_json, parameters_secret
from flowrun_operator.model import Defaults

_RBAC = "rbac.authorization.k8s.io"


def belongings(run: FlowRun, attempt: int, defaults: Defaults) -> list[list[dict[str, Any]]]:
    """Return what must exist before the attempt's Job, in stages.

    A binding stands alone in the last one: the API server answers 404 as long as its Role does not exist.
    """
    key = _key_of_its_own(run, attempt, defaults)
    found = [_secret(run, attempt, key)] if key else []
    if told := parameters_secret(run, attempt):
        found.append(_secret(run, attempt, told, parameters_json(run)))
    if any(cluster.engine is Engine.RAY for cluster in run.spec.clusters):
        found.append(_secret(run, attempt, ray_token(run, attempt)))
    who = account(run, attempt)
    if who is None:
        return [found]
    own = _own(run, attempt, "driver")
    if who == own:  # the token is asked for by the driver's pod alone
        found.append(_object(run, attempt, "v1", "ServiceAccount", own, automountServiceAccountToken=False))
    return [[*found, _role(run, attempt)], [_binding(run, attempt, who)]]


def belonging_names(run: FlowRun, attempt: int, defaults: Defaults) -> list[tuple[str, str]]:
    """Return kind and name of what an attempt has for itself."""
    stages = belongings(run, attempt, defaults)
    return [(manifest["kind"], manifest["metadata"]["name"]) for stage in stages for manifest in stage]


def prefect_options(run: FlowRun, attempt: int, defaults: Defaults) -> PrefectOptions:
    """Return how this attempt reaches Prefect, with the operator's defaults filled in."""
    if run.spec.prefect.api_url:  # another server: the operator's key is not for it
        return run.spec.prefect
    key = run.spec.prefect.api_key_secret or _key_of_its_own(run, attempt, defaults)
    return PrefectOptions(api_url=defaults.prefect_api_url, api_key_secret=key)


def ray_token(run: FlowRun, attempt: int) -> SecretKey:
    """Return where the word is that all Ray nodes of an attempt share: one, since the driver has one environment."""
    return SecretKey(name=_own(run, attempt, "ray"), key=TOKEN_IN_SECRET)


def account(run: FlowRun, attempt: int) -> str | None:
    """Return the ServiceAccount by which the driver scales its clusters; None: it scales none, and gets no token."""
    if not any(cluster.scaled_by_driver for cluster in run.spec.clusters):
        return None
    return _users_account(run) or _own(run, attempt, "driver")


def _key_of_its_own(run: FlowRun, attempt: int, defaults: Defaults) -> SecretKey | None:
    """Return where the operator's Prefect key is copied to for this attempt, if it is."""
    own = run.spec.prefect
    if own.api_url or own.api_key_secret or not defaults.prefect_api_key_set:
        return None
    return SecretKey(name=_own(run, attempt, "prefect"), key=KEY_IN_SECRET)


def _secret(run: FlowRun, attempt: int, where: SecretKey, value: str = "") -> dict[str, Any]:
    return secret(where.name, run.metadata.namespace, where.key, _labels(run, attempt), _owner(run), value)


def _labels(run: FlowRun, attempt: int) -> dict[str, str]:
    return with_users(run.spec.pod_metadata.labels, labels(run.metadata.name, attempt))


def _owner(run: FlowRun) -> list[dict[str, Any]]:
    return owner("FlowRun", run.metadata.name, run.metadata.uid)


def _own(run: FlowRun, attempt: int, what: str) -> str:
    return own_name(run.metadata.name, attempt, what, run.metadata.uid)


def _users_account(run: FlowRun) -> str | None:
    """Return the account that the user named for the driver: it gets the rights then."""
    template = (run.spec.driver.pod_template or {}).get("spec")
    named = template.get("serviceAccountName") if isinstance(template, dict) else None
    return named if isinstance(named, str) and named else run.spec.driver.service_account_name


def _role(run: FlowRun, attempt: int) -> dict[str, Any]:
    own = [cluster_name(run.metadata.name, attempt, c.name) for c in run.spec.clusters if c.scaled_by_driver]
    rules = [
        {"apiGroups": [GROUP], "resources": ["taskclusters"], "resourceNames": own, "verbs": ["get"]},
        {"apiGroups": [GROUP], "resources": ["taskclusters/scale"], "resourceNames": own, "verbs": ["get", "patch"]},
    ]
    return _object(run, attempt, f"{_RBAC}/v1", "Role", _own(run, attempt, "scale"), rules=rules)


def _binding(run: FlowRun, attempt: int, who: str) -> dict[str, Any]:
    role = {"apiGroup": _RBAC, "kind": "Role", "name": _own(run, attempt, "scale")}
    subject = {"kind": "ServiceAccount", "name": who, "namespace": run.metadata.namespace}
    # A name of its own: a refused create is remembered by name.
    name = _own(run, attempt, "scale-driver")
    return _object(run, attempt, f"{_RBAC}/v1", "RoleBinding", name, roleRef=role, subjects=[subject])


def _object(run: FlowRun, attempt: int, api_version: str, kind: str, name: str, **parts: Any) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": run.metadata.namespace,
        "labels": _labels(run, attempt),
        "ownerReferences": _owner(run),
    }
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **parts}
