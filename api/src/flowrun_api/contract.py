"""The contract between the operator and the driver: environment in, result out.

The two may be of different versions: fields that one of them does not know are ignored, and a reason is read whatever
it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from flowrun_api import environment

# Kubernetes keeps no more than 4096 bytes of a container's termination message.
RESULT_LIMIT_BYTES = 4096
DEFAULT_TERMINATION_LOG = "/dev/termination-log"


class ContractError(ValueError):
    """The environment breaks the contract; the message names the variable."""


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


_Said = TypeVar("_Said", bound=_Model)


class Activation(StrEnum):
    """When a cluster exists: from the start of the run, or while a flow uses it."""

    ON_START = "OnStart"
    ON_DEMAND = "OnDemand"


class RedirectPolicy(StrEnum):
    """Which task runners of the user's flows are replaced by the run's clusters."""

    ALL = "all"
    DEFAULT_ONLY = "default-only"
    EXPLICIT = "explicit"
    NONE = "none"


class ResultType(StrEnum):
    """Terminal Prefect state types a run can end in."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CRASHED = "CRASHED"
    CANCELLED = "CANCELLED"


class Reason(StrEnum):
    """Why a run ended; the operator copies it into the FlowRun's condition."""

    FLOW_COMPLETED = "FlowCompleted"
    FLOW_FAILED = "FlowFailed"
    FLOW_CANCELLED = "FlowCancelled"
    FLOW_LOAD_FAILED = "FlowLoadFailed"
    INVALID_PARAMETERS = "InvalidParameters"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    PREFECT_UNREACHABLE = "PrefectUnreachable"
    COORDINATOR_LOST = "CoordinatorLost"
    CLUSTER_STARTUP_FAILED = "ClusterStartupFailed"
    TERMINATED = "Terminated"
    DRIVER_ERROR = "DriverError"


def idempotency_key(uid: str) -> str:
    """Return the key under which Prefect creates the flow run of all attempts of a FlowRun at most once.

    Args:
        uid: of the FlowRun.
    """
    return f"flowrun-{uid}"


class ClusterContract(_Model):
    """One cluster of the run, as the driver sees it."""

    name: str = Field(min_length=1, description="Name of the cluster within the run.")
    engine: str = Field(description="Dask or Ray.")
    activation: Activation = Field(default=Activation.ON_START, description="When the cluster starts.")
    address: str = Field(description="Where the driver reaches the coordinator, e.g. tcp://127.0.0.1:8786.")
    port: int = Field(gt=0, lt=65536, description="Port the coordinator listens on for the engine's protocol.")
    http_port: int = Field(gt=0, lt=65536, description="Port of the coordinator's HTTP endpoints.")
    workers: int = Field(default=1, ge=0, description="Workers that the cluster should have.")
    threads_per_worker: int = Field(default=1, ge=1, description="Tasks that one worker runs at a time.")
    startup_timeout_seconds: int = Field(
        default=600, ge=1, description="Tasks fail when no worker could take them for this long."
    )
    task_cluster: str = Field(default="", description="Name of the TaskCluster object, by which it is scaled.")
    min_workers: int = Field(default=0, ge=0, description="Fewest workers while the cluster is in use.")
    max_workers: int = Field(default=0, ge=0, description="Most workers; as many as the fewest: the number is fixed.")
    elastic: bool = Field(default=False, description="Whether the driver changes the number of workers in use.")
    idle_seconds: int = Field(default=2, ge=0, description="How long an unused cluster or an idle worker is kept.")
    dashboard: bool = Field(default=False, description="Whether the coordinator serves its dashboard on http_port.")
    object_store_bytes: int | None = Field(
        default=None,
        ge=0,
        description="Size of a Ray head's object store; None: not a Ray cluster, or Ray's own choice.",
    )


class DriverEnvironment(_Model):
    """What the driver is told, read from the environment of its container."""

    name: str = Field(min_length=1)
    namespace: str = Field(min_length=1)
    uid: str = Field(min_length=1)
    attempt: int = Field(default=1, ge=1)
    entrypoint: str = Field(min_length=1)
    parameters: dict[str, Any] = Field(default_factory=dict)
    task_runners: RedirectPolicy = RedirectPolicy.ALL
    clusters: tuple[ClusterContract, ...] = ()
    termination_log: Path = Path(DEFAULT_TERMINATION_LOG)

    @field_validator("clusters")
    @classmethod
    def _names_are_unique(cls, clusters: tuple[ClusterContract, ...]) -> tuple[ClusterContract, ...]:
        names = [cluster.name for cluster in clusters]
        if len(set(names)) != len(names):
            raise ValueError(f"cluster names must be unique, got {', '.join(names)}")
        return clusters

    @property
    def flow_run_name(self) -> str:
        """Name of the flow run in Prefect, which all attempts share."""
        return self.name

    @property
    def idempotency_key(self) -> str:
        """Key under which Prefect creates the flow run of all attempts at most once."""
        return idempotency_key(self.uid)

    @property
    def tags(self) -> list[str]:
        """Tags of the flow run in Prefect."""
        return ["flowrun", f"flowrun:{self.namespace}/{self.name}"]

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the flow run in Prefect; they lead back to the FlowRun object."""
        return {
            "flowrun.dev/name": self.name,
            "flowrun.dev/namespace": self.namespace,
            "flowrun.dev/uid": self.uid,
            "flowrun.dev/attempt": str(self.attempt),
        }

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> DriverEnvironment:
        """Read the contract from environment variables, and the parameters from the file that one of them names.

        Args:
            env: usually `os.environ`.

        Raises:
            ContractError: a variable is missing or wrong, or the file can't be read; the message names it.
        """
        values: dict[str, Any] = {}
        for field in cls.model_fields:
            variable = _variable(field)
            raw = env.get(variable)
            if field == "parameters" and (file := env.get(environment.PARAMETERS_FILE)):
                variable, raw = environment.PARAMETERS_FILE, _read(environment.PARAMETERS_FILE, file)
            if not raw:
                continue
            values[field] = _from_json(variable, raw) if field in ("parameters", "clusters") else raw
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ContractError(_explain(error)) from None


class Result(_Model):
    """What the driver reports when it ends, written to the container's termination log."""

    flow_run_id: str | None = Field(default=None, description="Id of the flow run in Prefect, if one was created.")
    type: ResultType = Field(description="Type of the terminal state.")
    name: str = Field(description="Name of the terminal state, e.g. TimedOut.")
    message: str = Field(default="", description="First lines of what happened.")
    reason: Annotated[Reason | str, Field(union_mode="left_to_right")] = Field(
        description="Why the run ended, as one CamelCase word; a later driver may have words that are not among ours."
    )
    prefect_informed: bool = Field(
        default=True, description="Whether Prefect has recorded this end; if not, the operator tells it."
    )

    @property
    def exit_code(self) -> int:
        """0 if the flow completed, else 1."""
        return 0 if self.type is ResultType.COMPLETED else 1

    def to_bytes(self, limit: int = RESULT_LIMIT_BYTES) -> bytes:
        """Serialise to JSON, with the message cut so that the whole fits.

        Args:
            limit: greatest length in bytes.
        """
        message = self.message
        while True:
            data = self.model_copy(update={"message": message}).model_dump_json(by_alias=True).encode()
            excess = len(data) - limit
            if excess <= 0 or not message:
                return data
            # At least one character goes per round; escaped ones weigh up to 12 bytes, so few rounds are needed.
            message = message[: max(0, len(message) - max(1, excess // 12) - 1)]

    def write(self, path: Path) -> None:
        """Write the result where the kubelet picks it up.

        Args:
            path: the termination log.

        Raises:
            OSError: the file can't be written.
        """
        path.write_bytes(self.to_bytes())


# What a standalone cluster's coordinator says when it ends because nobody used it.
IDLE = "Idle"
# What a worker says that has another Ray or Python than its head.
VERSION_MISMATCH = "VersionMismatch"


class LastWords(_Model):
    """What a coordinator or a worker says of its end, in its termination message."""

    reason: str
    message: str = ""


def parse_result(text: str | None) -> Result | None:
    """Read a driver's termination message; None when it left none or something else wrote it."""
    return _parsed(Result, text)


def parse_last_words(text: str | None) -> LastWords | None:
    """Read a termination message that need not be a whole result; None when it is none of ours."""
    return _parsed(LastWords, text)


def _parsed(model: type[_Said], text: str | None) -> _Said | None:
    try:
        return model.model_validate(json.loads(text or ""))
    except (ValueError, RecursionError):  # pydantic's ValidationError is a ValueError
        return None


def clusters_from_env(env: Mapping[str, str]) -> tuple[ClusterContract, ...] | None:
    """Read only the clusters of the run.

    Args:
        env: usually `os.environ`.

    Returns:
        The clusters; None outside a FlowRun.

    Raises:
        ContractError: FLOWRUN_CLUSTERS is not a list of clusters.
    """
    raw = env.get(environment.CLUSTERS)
    if not raw:
        return () if environment.NAME in env else None
    entries = _from_json(environment.CLUSTERS, raw)
    try:
        return _ClusterList.model_validate({"clusters": entries}).clusters
    except ValidationError as error:
        raise ContractError(_explain(error)) from None


class _ClusterList(_Model):
    clusters: tuple[ClusterContract, ...]


def _variable(field: str) -> str:
    variable: str = getattr(environment, field.upper())
    return variable


def _read(variable: str, file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ContractError(f"{variable}: {file} can't be read: {error}") from None


def _from_json(variable: str, raw: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError as error:
        raise ContractError(f"{variable} is not valid JSON: {error}") from None


def _explain(error: ValidationError) -> str:
    parts = []
    for problem in error.errors(include_url=False):
        field, *path = [str(part) for part in problem["loc"]]
        where = _variable(field) + "".join(f"[{part}]" for part in path)
        parts.append(
            f"{where} is not set" if problem["type"] == "missing" and not path else f"{where}: {problem['msg']}"
        )
    return "; ".join(parts)
