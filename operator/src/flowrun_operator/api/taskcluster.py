"""TaskCluster: one ephemeral Dask or Ray cluster.

Everything that its workers need is written here when an attempt starts, so that a worker replaced later is the same
as the first ones even if the operator's defaults have changed since.
"""

from __future__ import annotations

from pydantic import Field

from flowrun_operator.api.common import ApiModel, Condition, Engine, Metadata, OpaqueObject, PrefectOptions
from flowrun_operator.api.constants import MANAGER
from flowrun_operator.api.flowrun import WorkerOptions
from flowrun_operator.api.rules import immutable


class FlowRunRef(ApiModel):
    """The attempt whose driver holds the coordinator."""

    name: str = Field(max_length=63)
    attempt: int = Field(ge=1)
    cluster: str = Field(max_length=63, description="Name of the cluster within the run.")


class TaskClusterSpec(ApiModel):
    """The wanted cluster. `workers.replicas` is scaled; engine, flowRun, port and managedBy are immutable."""

    engine: Engine
    flow_run: FlowRunRef | None = None
    port: int = Field(8786, ge=1, le=65535, description="Port of the coordinator.")
    image_pull_policy: str | None = Field(None, json_schema_extra={"enum": ["Always", "IfNotPresent", "Never"]})
    image_pull_secrets: list[OpaqueObject] | None = Field(None, max_length=16)
    workers: WorkerOptions = Field(default_factory=WorkerOptions)
    prefect: PrefectOptions = Field(default_factory=PrefectOptions)
    startup_deadline_seconds: int = Field(900, ge=1, description="A worker that found no coordinator by then gives up.")
    suspend: bool = False
    managed_by: str = Field(MANAGER, max_length=63)


class TaskClusterStatus(ApiModel):
    """What the operator knows of the cluster."""

    conditions: list[Condition] = Field(
        default_factory=list,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    observed_generation: int | None = None
    address: str | None = None
    replicas: int = 0
    ready_replicas: int = 0
    lost_workers: int = Field(0, description="Workers that ended without being told to.")
    selector: str | None = None


class TaskCluster(ApiModel):
    """A TaskCluster object."""

    metadata: Metadata
    spec: TaskClusterSpec
    status: TaskClusterStatus = Field(default_factory=TaskClusterStatus)


SPEC_RULES = [immutable(field) for field in ("engine", "flowRun", "port", "managedBy")]
