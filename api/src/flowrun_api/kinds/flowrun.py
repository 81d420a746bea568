"""FlowRun: one run of a Prefect flow, from its YAML to its result."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from flowrun_api.constants import MANAGER, MAX_RUN_NAME
from flowrun_api.contract import RedirectPolicy
from flowrun_api.kinds.clusters import ClusterSpec
from flowrun_api.kinds.common import (
    ApiModel,
    Condition,
    Engine,
    FlowSource,
    Generation,
    Metadata,
    OpaqueObject,
    PodMetadata,
    PodOptions,
    PodSecurity,
    PrefectOptions,
    Time,
    conditions_field,
)
from flowrun_api.kinds.rules import immutable


class TaskRunnerRedirect(StrEnum):
    """Which task runners of the flow the driver replaces by the run's clusters."""

    ALL = "All"
    DEFAULT_ONLY = "DefaultOnly"
    EXPLICIT = "Explicit"
    NONE = "None"

    @property
    def policy(self) -> RedirectPolicy:
        """What the driver is told."""
        return RedirectPolicy[self.name]


class FlowRef(ApiModel):
    """The flow and its parameters."""

    entrypoint: str = Field(
        min_length=3,
        max_length=512,
        pattern=r"^[A-Za-z0-9_./-]+[:.][A-Za-z_][A-Za-z0-9_]*$",
        description="dir/file.py:function, package.module:function or package.module.function. Files are looked up in"
        " the source, or in the image's working directory.",
    )
    parameters: OpaqueObject | None = Field(
        None,
        description="Parameters of the flow, at most 512 KiB as JSON; Prefect validates them when the run starts."
        " They arrive as they are written.",
    )
    source: FlowSource | None = Field(
        None, description="Code and files of the flow, on driver and workers alike. Default: they are in the image."
    )


class RetryPolicy(ApiModel):
    """What happens when the infrastructure fails. A flow that failed is never started again: Prefect retries flows."""

    max_infrastructure_retries: int = Field(
        0,
        ge=0,
        le=100,
        description="Further attempts after failures of the infrastructure, on new clusters, from the beginning of the"
        " flow. All attempts are one flow run in Prefect, so persisted task results are found again.",
    )


_KEEP_S = 3600


class DeletionType(StrEnum):
    """What becomes of the pods of a run that has ended."""

    DELETE = "Delete"
    KEEP_ON_FAILURE = "KeepOnFailure"


class DeletionPolicy(ApiModel):
    """Whether the workers' pods of a run that failed stay for a while, for debugging. Their processes end anyway."""

    type: DeletionType = Field(
        DeletionType.DELETE,
        description="KeepOnFailure: worker pods and TaskClusters of the last attempt of a run that failed or crashed"
        " stay for a while, with their logs. Their processes end anyway; a cancelled run keeps nothing.",
    )
    keep_seconds: int | None = Field(
        None, ge=1, le=604800, description="How long after the end; only with KeepOnFailure. Default: 3600."
    )

    @property
    def kept_s(self) -> int:
        """How long the pods of a failed run stay, in seconds."""
        return 0 if self.type is DeletionType.DELETE else self.keep_seconds or _KEEP_S


class FlowRunSpec(ApiModel):
    """What to run. Immutable but for `suspend`, `cancel` and `ttlSecondsAfterFinished`."""

    flow: FlowRef = Field(description="The flow and its parameters.")
    image: str | None = Field(
        None, max_length=1024, description="One image for driver, schedulers and workers, so versions cannot drift."
    )
    image_pull_policy: str | None = Field(
        None,
        json_schema_extra={"enum": ["Always", "IfNotPresent", "Never"]},
        description="For all pods of the run. Default: the operator's.",
    )
    image_pull_secrets: list[OpaqueObject] | None = Field(
        None, max_length=16, description="For all pods of the run: [{name: my-secret}]."
    )
    env: list[OpaqueObject] | None = Field(None, max_length=256, description="Environment of every pod of the run.")
    pod_metadata: PodMetadata = Field(
        default_factory=PodMetadata, description="Labels and annotations of every pod of the run."
    )
    pod_security_context: PodSecurity | None = Field(
        None,
        description="As whom every pod of the run runs. Default: what the operator was installed with. If given it"
        " counts as a whole: {} asks for nothing (OpenShift).",
    )
    driver: PodOptions = Field(
        default_factory=PodOptions,
        description="The driver's pod. Its resources are for the driver and the coordinators (Dask schedulers, Ray"
        " heads), which are its child processes. Default: the driver's plus those of each coordinator.",
    )
    clusters: list[ClusterSpec] = Field(
        default_factory=list,
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        description="Clusters of the run. None: tasks run in the driver.",
    )
    prefect: PrefectOptions = Field(default_factory=PrefectOptions, description="How the run reaches Prefect.")
    redirect_task_runners: TaskRunnerRedirect = Field(
        TaskRunnerRedirect.ALL,
        description="Which task runners of the flow are replaced by the run's clusters. All: default runners, and"
        " DaskTaskRunner and RayTaskRunner without an address or cluster of their own; DefaultOnly: default runners;"
        " Explicit: those with a cluster of their own too; None: none.",
    )
    active_deadline_seconds: int | None = Field(
        None,
        ge=1,
        description="Longest time of the whole run, from its first attempt on: all attempts and the waits between them,"
        " scheduling and pulling included. Anew after a suspension. Default: no limit.",
    )
    startup_deadline_seconds: int = Field(
        900,
        ge=1,
        description="Longest time until the driver runs; then the attempt fails with what held it up. Also how long a"
        " worker looks for its scheduler, and a task waits for any worker.",
    )
    retry_policy: RetryPolicy = Field(default_factory=RetryPolicy, description="When there is another attempt.")
    deletion_policy: DeletionPolicy = Field(
        default_factory=DeletionPolicy, description="Whether pods of a run that failed stay for a while."
    )
    ttl_seconds_after_finished: int = Field(
        86400, ge=0, description="How long the record and the driver's log are kept after the end."
    )
    suspend: bool = Field(
        False,
        description="True: nothing runs; an active attempt is stopped. False again: a new attempt, which is no retry.",
    )
    cancel: bool = Field(False, description="True: the run is cancelled. It can't be taken back.")
    managed_by: str = Field(
        MANAGER,
        max_length=63,
        description="The controller that reconciles the object; with another value this operator leaves it alone.",
    )


class FailureClass(StrEnum):
    """Whose move it is after an attempt that did not complete."""

    FLOW = "Flow"  # the flow or its code: no other attempt
    INFRASTRUCTURE = "Infrastructure"  # what it ran on: may be retried
    USER = "User"  # what was asked for: a cancellation, a suspension, a deadline, a spec that can't work


def _known_or_none(value: Any, parse: ValidatorFunctionWrapHandler) -> FailureClass | None:
    try:
        known: FailureClass | None = parse(value)
    except ValidationError:
        return None
    return known


# A class that a later version has written must not make a run unreadable to this one (F29).
_KnownClass = Annotated[FailureClass | None, WrapValidator(_known_or_none)]


class AttemptStatus(ApiModel):
    """One driver and its clusters."""

    number: int = Field(description="The first is 1.")
    start_time: Time | None = Field(None, description="When it was begun.")
    completion_time: Time | None = Field(None, description="When it had ended; absent of the active one.")
    failure_class: _KnownClass | None = Field(
        None,
        alias="class",
        description="Whose move it is: Flow (the flow or its code), Infrastructure (what it ran on; may be retried),"
        " User (what was asked for). None if the flow completed.",
    )
    reason: str | None = Field(None, description="Why it ended, in one word; Stopped: it was suspended.")
    message: str | None = Field(None, max_length=4096, description="What happened, with its evidence.")


class PrefectFlowRun(ApiModel):
    """The run in Prefect."""

    id: str = Field(description="Its id.")
    name: str | None = Field(None, description="Its name.")
    state: str | None = Field(
        None, description="Its state when it was looked up; follow it in Prefect while the run is active."
    )
    url: str | None = Field(None, description="Its page in Prefect's UI, if the chart knows prefect.uiUrl.")


class ClusterState(ApiModel):
    """A cluster of the run as it is now."""

    name: str = Field(description="Its name in the run.")
    engine: Engine = Field(description="Dask or Ray.")
    address: str | None = Field(None, description="The coordinator's address in the Kubernetes cluster.")
    workers: int = Field(0, description="Wanted workers.")
    ready_workers: int = Field(0, description="Workers that are registered with the coordinator.")
    dashboard_url: str | None = Field(
        None, description="The dashboard in the Kubernetes cluster; from outside: flowrun dashboard NAME."
    )
    dashboard_ready: bool | None = Field(
        None, description="Whether the coordinator that serves it is known to work: a worker is registered with it."
    )


class FlowRunStatus(ApiModel):
    """What the operator knows of the run."""

    conditions: list[Condition] = conditions_field(
        "Succeeded, DriverRunning, ClustersReady, Suspended, PrefectInformed"
    )
    observed_generation: Generation = None
    state: str | None = Field(
        None,
        description="For people: Starting, Running, Suspended, Succeeded, Failed or Cancelled. Programs read the"
        " conditions.",
    )
    workers: str | None = Field(
        None, description="For people: ready and wanted workers of all clusters, 2/3; absent once the run has ended."
    )
    start_time: Time | None = Field(None, description="Of the first attempt.")
    completion_time: Time | None = Field(None, description="Of the result.")
    attempts: list[AttemptStatus] = Field(
        default_factory=list, max_length=128, description="Drivers and their clusters, one after the other."
    )
    flow_run: PrefectFlowRun | None = Field(None, description="The run in Prefect, one for all attempts.")
    clusters: list[ClusterState] = Field(
        default_factory=list, max_length=8, description="Clusters of the active attempt as they are now."
    )


class FlowRun(ApiModel):
    """A FlowRun object."""

    metadata: Metadata
    spec: FlowRunSpec
    status: FlowRunStatus = Field(default_factory=FlowRunStatus)


_MUTABLE = {"suspend", "cancel", "ttlSecondsAfterFinished"}
_FIELDS = [field.alias or name for name, field in FlowRunSpec.model_fields.items()]

SPEC_RULES = [immutable(field, "create another FlowRun") for field in _FIELDS if field not in _MUTABLE]
SPEC_RULES.append(
    {"rule": "!oldSelf.cancel || self.cancel", "message": "a cancelled run stays cancelled", "fieldPath": ".cancel"}
)

DELETION_RULES = [
    {
        "rule": "!has(self.keepSeconds) || self.type == 'KeepOnFailure'",
        "message": "keepSeconds has a meaning only with type KeepOnFailure",
        "fieldPath": ".keepSeconds",
    }
]

NAME_RULES = [
    {
        "rule": f"size(self.metadata.name) <= {MAX_RUN_NAME}",
        "message": f"metadata.name must have at most {MAX_RUN_NAME} characters: names of children are made from it",
    },
    {
        "rule": "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "message": "metadata.name must be lower-case letters, digits and '-', and start with a letter",
    },
]
