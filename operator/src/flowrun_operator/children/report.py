"""The Job that tells Prefect the end of a run whose Prefect key the operator may not read.

It runs in the run's namespace, from the run's image, with the key by reference: whoever may create a FlowRun there may
use that Secret anyway.
"""

from __future__ import annotations

from typing import Any

from flowrun_operator.api.common import PodOptions, Resources
from flowrun_operator.api.constants import ROLE_REPORT
from flowrun_operator.api.flowrun import FlowRun
from flowrun_operator.api.naming import idempotency_key, report_name
from flowrun_operator.build.labels import labels, owner
from flowrun_operator.build.pod import PYTHON, PodParts, env, pod_template
from flowrun_operator.build.prefect import prefect_env
from flowrun_operator.children.belongings import prefect_options
from flowrun_operator.model import Defaults

# The process itself asks Prefect again and again: a pod that ends was lost.
_TRIES = 20
_TTL_S = 60
_GRACE_S = 2
_RESOURCES = Resources(requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "512Mi"})
# Of the driver's options what decides where its image can be pulled and Prefect be reached.
_LIKE_DRIVER = {"image", "env", "env_from", "node_selector", "tolerations", "affinity", "service_account_name"}


def report_job(run: FlowRun, attempt: int, defaults: Defaults, type_: str, message: str) -> dict[str, Any]:
    """Return the Job.

    Args:
        run: The run.
        attempt: Number of its last attempt.
        defaults: The operator's settings.
        type_: CRASHED, CANCELLED or FAILED.
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
        pull_policy=run.spec.image_pull_policy or defaults.image_pull_policy,
        pull_secrets=run.spec.image_pull_secrets,
        resources=_RESOURCES,
    )
    options = PodOptions.model_validate(run.spec.driver.model_dump(include=_LIKE_DRIVER))
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": report_name(run.metadata.name, run.metadata.uid),
            "namespace": run.metadata.namespace,
            "labels": all_labels,
            "ownerReferences": owner("FlowRun", run.metadata.name, run.metadata.uid),
        },
        "spec": {
            "backoffLimit": _TRIES,
            "ttlSecondsAfterFinished": _TTL_S,
            "template": pod_template(parts, options),
        },
    }
