"""The driver's Job: one pod, one container, in which the coordinators run as child processes."""

from __future__ import annotations

import json
from typing import Any

from flowrun_api.constants import LABEL_RUN_UID, ROLE_DRIVER
from flowrun_api.kinds.common import Resources
from flowrun_api.kinds.flowrun import FlowRun
from flowrun_api.kinds.naming import attempt_name
from flowrun_operator.build.labels import labels, owner
from flowrun_operator.build.pod import PYTHON, PodParts, env, pod_template
from flowrun_operator.build.prefect import prefect_env
from flowrun_operator.build.quantities import total
from flowrun_operator.build.source import source_parts
from flowrun_operator.build.template import effective_resources
from flowrun_operator.children.belongings import account, prefect_options, ray_token
from flowrun_operator.children.clusters import contracts, count, port_of
from flowrun_operator.children.parameters import parameters_parts
from flowrun_operator.engines import ENGINES, HostParts
from flowrun_operator.model import Defaults

# Time for the driver to tell Prefect that it was stopped; SIGKILL follows.
DRIVER_GRACE_S = 8
# The result is in the pod: a Job that went sooner would take it along while the operator is restarted (F04). With the
# operator alive the Job goes with its FlowRun, at the run's own TTL.
_SHORTEST_JOB_TTL_S = 3600


def driver_job(run: FlowRun, attempt: int, defaults: Defaults, left_s: int | None = None) -> dict[str, Any]:
    """Return the Job of an attempt.

    A Job rather than a bare pod: its controller enforces the deadline and the TTL with the operator dead, and garbage
    collection takes everything that it owns along.

    Args:
        run: The run.
        attempt: Number of the attempt.
        defaults: The operator's settings.
        left_s: What is left of the run's `activeDeadlineSeconds`, in seconds; default: all of it.
    """
    name = attempt_name(run.metadata.name, attempt)
    all_labels = {**labels(run.metadata.name, attempt, role=ROLE_DRIVER), LABEL_RUN_UID: run.metadata.uid}
    template = pod_template(_driver(run, attempt, defaults, all_labels), run.spec.driver)
    spec: dict[str, Any] = {
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": max(run.spec.ttl_seconds_after_finished, _SHORTEST_JOB_TTL_S),
        "template": template,
    }
    if run.spec.active_deadline_seconds:
        spec["activeDeadlineSeconds"] = left_s or run.spec.active_deadline_seconds
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": run.metadata.namespace,
            # Those of the pod: what a policy demands of pods it demands of Jobs too (awx-operator#2130).
            "labels": template["metadata"]["labels"],
            "ownerReferences": owner("FlowRun", run.metadata.name, run.metadata.uid),
        },
        "spec": spec,
    }


def driver_resources(run: FlowRun, defaults: Defaults) -> Resources | None:
    """Return the resources of the driver's container: the user's, else the defaults of driver and coordinators."""
    more = [added for c in run.spec.clusters if (added := defaults.coordinator_resources.get(c.engine)) is not None]
    return effective_resources(run.spec.driver, total(defaults.driver_resources, more))


def _driver(run: FlowRun, attempt: int, defaults: Defaults, all_labels: dict[str, str]) -> PodParts:
    source = source_parts(run.spec.flow.source, fetches=True)
    resources = driver_resources(run, defaults)
    host = _coordinators(run, attempt, resources)
    parameters = parameters_parts(run, attempt, defaults)
    told = [c.model_dump(by_alias=True) for c in contracts(run, attempt, defaults, resources)]
    contract = env(
        FLOWRUN_NAME=run.metadata.name,
        FLOWRUN_NAMESPACE=run.metadata.namespace,
        FLOWRUN_UID=run.metadata.uid,
        FLOWRUN_ATTEMPT=attempt,
        FLOWRUN_ENTRYPOINT=run.spec.flow.entrypoint,
        FLOWRUN_TASK_RUNNERS=run.spec.redirect_task_runners.policy.value,
        FLOWRUN_CLUSTERS=json.dumps(told),
        HOME="/tmp",  # noqa: S108
    )
    ports = [port_of(run, index) for index in range(len(run.spec.clusters))]
    return PodParts(
        command=[*PYTHON, "prefect_flowrun.driver"],
        default_env=run.spec.env or [],
        env=[*contract, *source.env, *parameters.env, *host.env, *prefect_env(prefect_options(run, attempt, defaults))],
        image=run.spec.image or defaults.image,
        labels=all_labels,
        grace_s=DRIVER_GRACE_S,
        metadata=run.spec.pod_metadata,
        security=run.spec.pod_security_context or defaults.pod_security_context,
        pull_policy=run.spec.image_pull_policy or defaults.image_pull_policy,
        pull_secrets=run.spec.image_pull_secrets,
        resources=resources,
        ports=[{"name": f"scheduler-{index}", "containerPort": port} for index, port in enumerate(ports)],
        working_dir=source.working_dir,
        account=account(run, attempt),
        volumes=[*source.volumes, *parameters.volumes, *host.volumes],
        mounts=[*source.mounts, *parameters.mounts, *host.mounts],
    )


def _coordinators(run: FlowRun, attempt: int, resources: Resources | None) -> HostParts:
    """Return what the container needs for the coordinators of all engines."""
    token = ray_token(run, attempt)
    used = [(builder, count(run, engine)) for engine, builder in ENGINES.items()]
    parts = [builder.host(resources, coordinators, token) for builder, coordinators in used if coordinators]
    return HostParts(
        env=[entry for part in parts for entry in part.env],
        volumes=[volume for part in parts for volume in part.volumes],
        mounts=[mount for part in parts for mount in part.mounts],
    )
