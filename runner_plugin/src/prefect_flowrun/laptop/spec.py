"""What of a FlowRun has a meaning on one machine. Fields and defaults are those of the operator's API."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from prefect_flowrun.contract import Activation
from prefect_flowrun.engines.packages import is_installed
from prefect_flowrun.laptop.problem import CannotRun

Raw = dict[str, Any]

_SHOWN = 5


class _Part(BaseModel):
    # An error must not carry a run's parameters or environment to the terminal.
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )


class Engine(StrEnum):
    """Which system runs the tasks of a cluster."""

    DASK = "Dask"
    RAY = "Ray"


class Variable(_Part):
    """A variable of the environment."""

    name: str = Field(min_length=1)
    value: str | None = None
    value_from: Raw | None = None


class Pod(_Part):
    """What is a pod on a cluster."""

    env: tuple[Variable, ...] = ()


class Workers(Pod):
    """The workers of a cluster: a fixed number, or bounds within which the driver scales them."""

    replicas: int | None = Field(None, ge=0)
    min_replicas: int | None = Field(None, ge=0)
    max_replicas: int | None = Field(None, ge=1)
    threads: int = Field(1, ge=1, le=256)
    custom_resources: dict[str, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Workers:
        bounds = (self.min_replicas, self.max_replicas)
        if self.replicas is not None and bounds != (None, None):
            raise ValueError("either replicas, or minReplicas and maxReplicas")
        if (self.min_replicas is None) != (self.max_replicas is None):
            raise ValueError("minReplicas and maxReplicas must be set together")
        if (self.min_replicas or 0) > (self.max_replicas or self.min_replicas or 0):
            raise ValueError("minReplicas must not exceed maxReplicas")
        return self


class Cluster(_Part):
    """A cluster of the run."""

    name: str = Field(min_length=1, max_length=15, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    engine: Engine
    activation: Activation = Activation.ON_START
    idle_seconds: int = Field(2, ge=0)
    dashboard: bool = False
    workers: Workers = Field(default_factory=Workers)

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
    def on_demand(self) -> bool:
        """Whether the cluster exists only while a flow uses it."""
        return self.activation is Activation.ON_DEMAND

    @property
    def workers_at_start(self) -> int:
        """How many workers start with the run."""
        return 0 if self.on_demand else self.bounds[0]

    @property
    def workers_in_use(self) -> int:
        """How many workers a flow finds that asks for no number."""
        return max(1, self.bounds[0]) if self.on_demand else self.bounds[0]


class Source(_Part):
    """Where the flow's code comes from."""

    config_map: str | None = None
    persistent_volume_claim: str | None = None


class Flow(_Part):
    """The flow and its parameters."""

    entrypoint: str = Field(min_length=3, max_length=512, pattern=r"^[A-Za-z0-9_./-]+[:.][A-Za-z_][A-Za-z0-9_]*$")
    parameters: Raw = Field(default_factory=dict)
    source: Source | None = None


class Redirect(StrEnum):
    """Which task runners of the flow the driver replaces by the run's clusters."""

    ALL = "All"
    DEFAULT_ONLY = "DefaultOnly"
    EXPLICIT = "Explicit"
    NONE = "None"


class Retries(_Part):
    """What happens when the infrastructure fails."""

    max_infrastructure_retries: int = Field(0, ge=0, le=100)


class Prefect(_Part):
    """How the run reaches Prefect."""

    api_url: str | None = None


class Spec(_Part):
    """What to run."""

    flow: Flow
    env: tuple[Variable, ...] = ()
    driver: Pod = Field(default_factory=Pod)
    clusters: tuple[Cluster, ...] = Field((), max_length=8)
    prefect: Prefect = Field(default_factory=Prefect)
    redirect_task_runners: Redirect = Redirect.ALL
    active_deadline_seconds: int | None = Field(None, ge=1)
    startup_deadline_seconds: int = Field(900, ge=1)
    retry_policy: Retries = Field(default_factory=Retries)
    suspend: bool = False

    @model_validator(mode="after")
    def _names_are_unique(self) -> Spec:
        names = [cluster.name for cluster in self.clusters]
        if len(set(names)) != len(names):
            raise ValueError(f"names of clusters must be unique, got {', '.join(names)}")
        return self


def read(flow_run: Raw) -> Spec:
    """Read the spec of a FlowRun.

    Args:
        flow_run: as its manifest has it.

    Raises:
        CannotRun: a field is missing or wrong, or asks for what only a cluster has; names field and reason.
    """
    try:
        spec = Spec.model_validate(flow_run.get("spec"))
    except ValidationError as error:
        raise CannotRun(_explain(error)) from None
    for engine in {cluster.engine for cluster in spec.clusters}:
        if not is_installed(engine):
            raise CannotRun(f'{engine} is not installed here: pip install "prefect-flowrun[{engine.lower()}]"')
    if spec.suspend:
        raise CannotRun("spec.suspend is true: there is nothing to run")
    for cluster in spec.clusters:
        if cluster.on_demand and cluster.bounds[1] == 0:
            raise CannotRun(f"cluster {cluster.name}: an OnDemand cluster needs at least one worker")
    return spec


def variables(entries: tuple[Variable, ...], own: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment that entries ask for.

    Args:
        entries: of the run, of its driver or of its workers.
        own: of the command. What comes from a Secret or a ConfigMap on a cluster is taken from here.

    Raises:
        CannotRun: such a variable is not set here.
    """
    found = {}
    for entry in entries:
        if entry.value_from is None:
            found[entry.name] = entry.value or ""
        elif entry.name in own:
            found[entry.name] = own[entry.name]
        else:
            raise CannotRun(f"env {entry.name} comes from the cluster (valueFrom): set it in your shell for a run here")
    return found


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)
    lines = []
    for problem in problems[:_SHOWN]:
        where = "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
        lines.append(f"{where}: {problem['msg'].removeprefix('Value error, ')}")
    more = len(problems) - _SHOWN
    return "; ".join([*lines, *([f"and {more} more"] if more > 0 else [])])
