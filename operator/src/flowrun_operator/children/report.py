"""The Job that tells Prefect the end of a run whose Prefect key the operator may not read.

It runs in the run's namespace, from the run's image, with the key by reference: whoever may create a FlowRun there may
use that Secret anyway. Where the driver's pod was let in, by a quota, a LimitRange, a policy or an SCC, this one is
too: it has the driver's resources, labels and security context. What else runs in the driver's pod is left out.
"""

from __future__ import annotations

from typing import Any

from flowrun_api.constants import MAIN_CONTAINER, ROLE_REPORT
from flowrun_api.contract import idempotency_key
from flowrun_api.kinds.common import PodOptions, Resources
from flowrun_api.kinds.flowrun import FlowRun
from flowrun_api.kinds.naming import report_name
from flowrun_operator.build.labels import labels, owner
from flowrun_operator.build.pod import PYTHON, PodParts, env, pod_template
from flowrun_operator.build.prefect import prefect_env
from flowrun_operator.children.belongings import prefect_options
from flowrun_operator.children.driver import driver_resources
from flowrun_operator.model import Defaults

# The process itself asks Prefect again and again: a pod that ends was lost.
_TRIES = 20
_TTL_S = 60
_GRACE_S = 2
# Of the driver's options what decides where its image can be pulled and Prefect be reached.
_LIKE_DRIVER = {"image", "env", "env_from", "node_selector", "tolerations", "affinity", "service_account_name"}
# Of its pod template what runs beside, and what may hold a pod up whose node was lost.
_NOT_OF_POD = {"containers", "initContainers", "volumes", "activeDeadlineSeconds", "restartPolicy"}
_OF_CONTAINER = {"name", "image", "imagePullPolicy", "env", "envFrom", "resources", "securityContext"}
# A quota may demand these of every container; of devices, which others wait for, none does.
_COMPUTE = {"cpu", "memory", "ephemeral-storage"}


def report_job(run: FlowRun, attempt: int, defaults: Defaults, type_: str, message: str) -> dict[str, Any]:
    """Return the Job.

    Args:
        run: The run.
        attempt: Number of its last attempt.
        defaults: The operator's settings.
        type_: COMPLETED, CRASHED, CANCELLED or FAILED.
        message: Shown in Prefect.
    """
    all_labels = labels(run.metadata.name, attempt, role=ROLE_REPORT)
    told = env(
        FLOWRUN_ATTEMPT=str(attempt),
        FLOWRUN_IDEMPOTENCY_KEY=idempotency_key(run.metadata.uid),
        FLOWRUN_REPORT_TYPE=type_,
        FLOWRUN_REPORT_MESSAGE=message,
        HOME="/tmp",  # noqa: S108
    )
    parts = PodParts(
        command=[*PYTHON, "prefect_flowrun.report_end"],
        default_env=run.spec.env or [],
        env=[*told, *prefect_env(prefect_options(run, attempt, defaults))],
        image=run.spec.image or defaults.image,
        labels=all_labels,
        grace_s=_GRACE_S,
        metadata=run.spec.pod_metadata,
        security=run.spec.pod_security_context or defaults.pod_security_context,
        pull_policy=run.spec.image_pull_policy or defaults.image_pull_policy,
        pull_secrets=run.spec.image_pull_secrets,
        resources=_compute(driver_resources(run, defaults)),
    )
    template = pod_template(parts, _options(run.spec.driver))
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": report_name(run.metadata.name, run.metadata.uid),
            "namespace": run.metadata.namespace,
            "labels": template["metadata"]["labels"],
            "ownerReferences": owner("FlowRun", run.metadata.name, run.metadata.uid),
        },
        "spec": {
            "backoffLimit": _TRIES,
            "ttlSecondsAfterFinished": _TTL_S,
            "template": template,
        },
    }


def _options(driver: PodOptions) -> PodOptions:
    given = driver.model_dump(include=_LIKE_DRIVER)
    return PodOptions.model_validate({**given, "pod_template": _without_others(driver.pod_template or {})})


def _without_others(template: dict[str, Any]) -> dict[str, Any]:
    """Return of the driver's pod template what is said of the pod itself and of who its main container is."""
    spec = template.get("spec")
    if not isinstance(spec, dict):
        return template
    containers = spec.get("containers")
    main = [
        {key: value for key, value in container.items() if key in _OF_CONTAINER}
        for container in (containers if isinstance(containers, list) else [])
        if isinstance(container, dict) and container.get("name") == MAIN_CONTAINER
    ]
    kept = {key: value for key, value in spec.items() if key not in _NOT_OF_POD}
    return {**template, "spec": {**kept, **({"containers": main} if main else {})}}


def _compute(resources: Resources | None) -> Resources | None:
    if resources is None:
        return None
    parts = (resources.requests, resources.limits)
    requests, limits = ({name: q for name, q in (part or {}).items() if name in _COMPUTE} for part in parts)
    return Resources(requests=requests or None, limits=limits or None)
