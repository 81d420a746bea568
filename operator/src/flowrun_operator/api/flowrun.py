"""FlowRun: one run of a Prefect flow, from its YAML to its result."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from flowrun_operator.api.clusters import ClusterSpec
from flowrun_operator.api.common import (
    ApiModel,
    Condition,
    Engine,
    FlowSource,
    Metadata,
    OpaqueObject,
    PodMetadata,
    PodOptions,
    PodSecurity,
    PrefectOptions,
    Time,
)
from flowrun_operator.api.constants import MANAGER, MAX_RUN_NAME
from flowrun_operator.api.rules import immutable


class TaskRunnerRedirect(StrEnum):
    """Which task runners of the flow the driver replaces by the run's clusters."""

    ALL = "All"
    DEFAULT_ONLY = "DefaultOnly"
    EXPLICIT = "Explicit"
    NONE = "None"


class FlowRef(ApiModel):
    """The flow and its parameters."""

    entrypoint: str = Field(
        min_length=3,
        max_length=512,
        pattern=r"^[A-Za-z0-9_./-]+[:.][A-Za-z_][A-Za-z0-9_]*$",
        description="file.py:function (relative to the source, or the image's directory) or package.module.function.",
    )
    parameters: OpaqueObject | None = Field(None, description="Parameters of the flow, validated by Prefect.")
    source: FlowSource | None = Field(
        None, description="Code and files of the flow, on driver and workers alike. Default: they are in the image."
    )


class RetryPolicy(ApiModel):
    """What happens when the infrastructure fails. A flow that failed is never started again: Prefect retries flows."""

    max_infrastructure_retries: int = Field(0, ge=0, le=100)


_KEEP_S = 3600


class DeletionType(StrEnum):
    """What becomes of the pods of a run that has ended."""

    DELETE = "Delete"
    KEEP_ON_FAILURE = "KeepOnFailure"


class DeletionPolicy(ApiModel):
    """Whether the workers' pods of a run that failed stay for a while, for debugging. Their processes end anyway."""

    type: DeletionType = DeletionType.DELETE
    keep_seconds: int | None = Field(
        None, ge=1, le=604800, description="How long after the end; only with KeepOnFailure. Default: 3600."
    )

    @property
    def kept_s(self) -> int:
        """How long the pods of a failed run stay, in seconds."""
        return 0 if self.type is DeletionType.DELETE else self.keep_seconds or _KEEP_S


class FlowRunSpec(ApiModel):
    """What to run. Immutable but for `suspend`, `cancel` and `ttlSecondsAfterFinished`."""

    flow: FlowRef
    image: str | None = Field(
        None, max_length=1024, description="One image for driver, schedulers and workers, so versions cannot drift."
    )
    image_pull_policy: str | None = Field(None, json_schema_extra={"enum": ["Always", "IfNotPresent", "Never"]})
    image_pull_secrets: list[OpaqueObject] | None = Field(None, max_length=16)
    env: list[OpaqueObject] | None = Field(None, max_length=256, description="Environment of every pod of the run.")
    pod_metadata: PodMetadata = Field(
        default_factory=PodMetadata, description="Labels and annotations of every pod of the run."
    )
    pod_security_context: PodSecurity | None = Field(
        None, description="As whom every pod of the run runs. Default: what the operator was installed with."
    )
    driver: PodOptions = Field(default_factory=PodOptions)
    clusters: list[ClusterSpec] = Field(
        default_factory=list,
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        description="Clusters of the run. None: tasks run in the driver.",
    )
    prefect: PrefectOptions = Field(default_factory=PrefectOptions)
    redirect_task_runners: TaskRunnerRedirect = TaskRunnerRedirect.ALL
    active_deadline_seconds: int | None = Field(
        None,
        ge=1,
        description="Longest time for the whole run: all attempts and the waits between them, anew after a suspension.",
    )
    startup_deadline_seconds: int = Field(
        900, ge=1, description="Longest time until the driver runs; then the attempt fails with what held it up."
    )
    retry_policy: RetryPolicy = Field(default_factory=RetryPolicy)
    deletion_policy: DeletionPolicy = Field(default_factory=DeletionPolicy)
    ttl_seconds_after_finished: int = Field(
        86400, ge=0, description="How long the record and the driver's log are kept after the end."
    )
    suspend: bool = Field(False, description="True: nothing runs; an active attempt is stopped.")
    cancel: bool = Field(False, description="True: the run is cancelled. It can't be taken back.")
    managed_by: str = Field(MANAGER, max_length=63, description="The controller that reconciles this object.")


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

    number: int
    start_time: Time | None = None
    completion_time: Time | None = None
    failure_class: _KnownClass | None = Field(
        None, alias="class", description="Whose move it is: the flow's, the infrastructure's or the user's."
    )
    reason: str | None = None
    message: str | None = Field(None, max_length=4096, description="What happened, with its evidence.")


class PrefectFlowRun(ApiModel):
    """The run in Prefect."""

    id: str
    name: str | None = None
    state: str | None = None
    url: str | None = None


class ClusterState(ApiModel):
    """A cluster of the run as it is now."""

    name: str
    engine: Engine
    address: str | None = None
    workers: int = 0
    ready_workers: int = 0


class FlowRunStatus(ApiModel):
    """What the operator knows of the run."""

    conditions: list[Condition] = Field(
        default_factory=list,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    observed_generation: int | None = None
    state: str | None = Field(None, description="For people: what `kubectl get` prints. Programs read the conditions.")
    workers: str | None = Field(None, description="For people: ready and wanted workers of all clusters.")
    start_time: Time | None = None
    completion_time: Time | None = None
    attempts: list[AttemptStatus] = Field(default_factory=list, max_length=128)
    flow_run: PrefectFlowRun | None = None
    clusters: list[ClusterState] = Field(default_factory=list, max_length=8)


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
