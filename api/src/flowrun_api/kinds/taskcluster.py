"""TaskCluster: one ephemeral Dask or Ray cluster.

Everything that the workers of a run's cluster need is written here when an attempt starts, so that a worker replaced
later is the same as the first ones even if the operator's defaults have changed since.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from flowrun_api.constants import MANAGER, MAX_REPLICAS
from flowrun_api.kinds.common import (
    CUSTOM_RESOURCES_RULE,
    FIRST_PORTS,
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
    SecretKey,
    WorkerOptions,
    conditions_field,
)
from flowrun_api.kinds.rules import immutable

MAX_NAME = 63


class FlowRunRef(ApiModel):
    """The attempt whose driver holds the coordinator."""

    name: str = Field(max_length=63, description="The FlowRun.")
    attempt: int = Field(ge=1, description="Number of its attempt.")
    cluster: str = Field(max_length=63, description="Name of the cluster within the run.")


class ScaleDown(StrEnum):
    """Which worker pods go when `replicas` is lowered, but not to 0."""

    ANY = "Any"
    ENDED_ONLY = "EndedOnly"


class IdleAction(StrEnum):
    """What becomes of a standalone cluster that nobody uses."""

    PARK = "Park"
    DELETE = "Delete"


class TaskClusterWorkers(WorkerOptions):
    """The workers: their number is that of the scale subresource."""

    replicas: int = Field(1, ge=0, le=MAX_REPLICAS, description="How many: the number of the scale subresource.")
    max_replicas: int | None = Field(None, ge=1, le=MAX_REPLICAS, description="More than these can't be asked for.")
    scale_down: ScaleDown = Field(
        ScaleDown.ANY,
        description="Which pods go when replicas is lowered: those that have ended, then those that do not run yet,"
        " then, with Any, the newest. With EndedOnly whoever scales tells running workers to leave first. At 0 all go.",
    )


class TaskClusterSpec(ApiModel):
    """The wanted cluster. `workers.replicas` is scaled; engine, flowRun, port, source and managedBy are immutable."""

    engine: Engine = Field(description="Dask or Ray.")
    flow_run: FlowRunRef | None = Field(None, description="Absent: a standalone cluster with a coordinator of its own.")
    port: int | None = Field(
        None, ge=1, le=65534, description="Port of the coordinator. Default: 8786 for Dask, 6379 for Ray."
    )
    dashboard: bool = Field(False, description="Whether the coordinator serves its dashboard.")
    image: str | None = Field(None, max_length=1024, description="Image of coordinator and workers.")
    image_pull_policy: str | None = Field(
        None,
        json_schema_extra={"enum": ["Always", "IfNotPresent", "Never"]},
        description="For all pods of the cluster. Default: the operator's.",
    )
    image_pull_secrets: list[OpaqueObject] | None = Field(
        None, max_length=16, description="For all pods of the cluster: [{name: my-secret}]."
    )
    pod_metadata: PodMetadata = Field(
        default_factory=PodMetadata, description="Labels and annotations of every pod of the cluster."
    )
    pod_security_context: PodSecurity | None = Field(None, description="As whom every pod of the cluster runs.")
    source: FlowSource | None = Field(
        None, description="Code and files of the flow, on workers and coordinator. Default: they are in the image."
    )
    coordinator: PodOptions = Field(default_factory=PodOptions, description="Standalone: the coordinator's pod.")
    workers: TaskClusterWorkers = Field(
        default_factory=TaskClusterWorkers, description="The workers. A change concerns pods that are created later."
    )
    prefect: PrefectOptions = Field(default_factory=PrefectOptions, description="How its workers reach Prefect.")
    token_secret: SecretKey | None = Field(
        None, description="Secret with the token that all nodes of a Ray cluster share. Default: one of its own."
    )
    startup_deadline_seconds: int = Field(900, ge=1, description="A worker that found no coordinator by then gives up.")
    idle_seconds: int | None = Field(
        None, ge=1, description="Standalone: idle time-out, with no client and no task. Default: none."
    )
    idle_action: IdleAction = Field(
        IdleAction.PARK, description="Standalone: Park scales to 0, where no pod is left; Delete removes the object."
    )
    suspend: bool = Field(False, description="True: no worker runs.")
    managed_by: str = Field(
        MANAGER,
        max_length=63,
        description="The controller that reconciles the object; with another value this operator leaves it alone.",
    )

    @property
    def coordinator_port(self) -> int:
        """The coordinator's port."""
        return self.port or FIRST_PORTS[self.engine]

    @property
    def wanted_workers(self) -> int:
        """How many workers there should be now."""
        return 0 if self.suspend else self.workers.replicas


class TaskClusterStatus(ApiModel):
    """What the operator knows of the cluster."""

    conditions: list[Condition] = conditions_field("Ready")
    observed_generation: Generation = None
    address: str | None = Field(
        None,
        description="The coordinator's in the Kubernetes cluster: tcp://NAME.NAMESPACE.svc:PORT, with Ray without tcp://.",
    )
    replicas: int = Field(0, description="Live worker pods.")
    ready_replicas: int = Field(0, description="Workers that are registered with the coordinator.")
    lost_workers: int = Field(0, description="Workers that ended without being told to.")
    lost_coordinators: int | None = Field(
        None, description="Standalone: coordinators that ended without being told to."
    )
    selector: str | None = Field(None, description="Label selector of the worker pods, for the scale subresource.")


class TaskCluster(ApiModel):
    """A TaskCluster object."""

    metadata: Metadata
    spec: TaskClusterSpec
    status: TaskClusterStatus = Field(default_factory=TaskClusterStatus)


SPEC_RULES = [immutable(field) for field in ("engine", "flowRun", "port", "source", "managedBy")]
SPEC_RULES.append(
    {
        "rule": "has(self.flowRun) || !has(self.source) || !has(self.source.git)",
        "message": "git is for FlowRuns: a flow that uses a standalone cluster brings its own code",
        "fieldPath": ".source",
    }
)

# Checked for the scale subresource too: nobody gets past the bound.
WORKERS_RULES = [
    CUSTOM_RESOURCES_RULE,
    {
        "rule": "!has(self.maxReplicas) || self.replicas <= self.maxReplicas",
        "message": "replicas must not exceed maxReplicas",
        "fieldPath": ".replicas",
    },
]

NAME_RULES = [
    {
        "rule": f"size(self.metadata.name) <= {MAX_NAME}",
        "message": f"metadata.name must have at most {MAX_NAME} characters: it is the name of a Service",
    },
    {
        "rule": "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "message": "metadata.name must be lower-case letters, digits and '-', and start with a letter",
    },
]
