"""A cluster as a FlowRun asks for it: engine, when it exists, and how many workers."""

from __future__ import annotations

from pydantic import Field

from flowrun_api.constants import MAX_CLUSTER_NAME, MAX_REPLICAS
from flowrun_api.contract import Activation
from flowrun_api.kinds.common import CUSTOM_RESOURCES_RULE, ApiModel, Engine, WorkerOptions


class ClusterWorkers(WorkerOptions):
    """The workers of a cluster of a run: a fixed number, or bounds within which the driver scales them."""

    replicas: int | None = Field(None, ge=0, le=MAX_REPLICAS, description="A fixed number. Default: 1, without bounds.")
    min_replicas: int | None = Field(None, ge=0, le=MAX_REPLICAS, description="Elastic: never fewer while in use.")
    max_replicas: int | None = Field(None, ge=1, le=MAX_REPLICAS, description="Elastic: never more.")


class ClusterSpec(ApiModel):
    """A cluster of the run."""

    name: str = Field(
        min_length=1,
        max_length=MAX_CLUSTER_NAME,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description='By which flows choose it: ClusterTaskRunner("name"). Lower-case letters, digits and -; unique.',
    )
    engine: Engine = Field(description="Dask or Ray.")
    activation: Activation = Field(
        Activation.ON_START, description="OnDemand: no pod before a flow first uses the cluster, none after it."
    )
    idle_seconds: int = Field(
        2,
        ge=0,
        le=86400,
        description="How long an unused OnDemand cluster, or an idle worker of an elastic one, is kept.",
    )
    dashboard: bool = Field(
        False, description="True: the coordinator serves its dashboard; costs start-up time, and with Ray memory."
    )
    workers: ClusterWorkers = Field(default_factory=ClusterWorkers, description="The workers.")

    @property
    def bounds(self) -> tuple[int, int]:
        """The fewest and the most workers that the cluster has while it is in use."""
        workers = self.workers
        if workers.min_replicas is None or workers.max_replicas is None:
            fixed = 1 if workers.replicas is None else workers.replicas
            return fixed, fixed
        return workers.min_replicas, workers.max_replicas

    @property
    def elastic(self) -> bool:
        """Whether the driver may change the number of workers while the cluster is in use."""
        return self.workers.max_replicas is not None

    @property
    def scaled_by_driver(self) -> bool:
        """Whether the driver ever scales the cluster; only then it gets a token for that."""
        return self.elastic or self.activation is Activation.ON_DEMAND

    @property
    def workers_at_start(self) -> int:
        """How many workers start with the run."""
        return 0 if self.activation is Activation.ON_DEMAND else self.bounds[0]

    @property
    def workers_in_use(self) -> int:
        """How many workers a flow finds that asks for no number."""
        least = self.bounds[0]
        return max(1, least) if self.activation is Activation.ON_DEMAND else least


# What the schema can't say. Without an entry for `replicas` the schema sets none: a default would be one of the two.
WORKERS_RULES = [
    CUSTOM_RESOURCES_RULE,
    {
        "rule": "!has(self.replicas) || !(has(self.minReplicas) || has(self.maxReplicas))",
        "message": "either replicas, or minReplicas and maxReplicas",
    },
    {
        "rule": "has(self.minReplicas) == has(self.maxReplicas)",
        "message": "minReplicas and maxReplicas must be set together",
    },
    {
        "rule": "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
        "message": "minReplicas must not exceed maxReplicas",
    },
]
CLUSTER_RULES = [
    {
        "rule": "self.activation != 'OnDemand' || !has(self.workers) || !has(self.workers.replicas)"
        " || self.workers.replicas > 0",
        "message": "an OnDemand cluster needs at least one worker: it has none while nobody uses it",
    }
]
