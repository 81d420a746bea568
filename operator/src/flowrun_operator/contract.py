"""The contract between operator and driver: what the driver is told and what it answers.

The driver's package (`prefect_flowrun.contract`) mirrors these models; a test compares the two schemas. Nothing else
couples the two packages, so the plugin works with any controller that speaks this.
"""

from __future__ import annotations

import json
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

# Of the flow's parameters as compact JSON in ASCII. Prefect's server stores no more by default.
PARAMETERS_LIMIT_BYTES = 512 * 2**10


class ContractModel(BaseModel):
    """Base of the contract: camelCase in JSON."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


class ClusterContract(ContractModel):
    """A cluster of the run as its driver sees it: what to start and where to connect."""

    name: str
    engine: str
    activation: str = "OnStart"
    address: str
    port: int
    http_port: int
    workers: int = Field(ge=0)
    threads_per_worker: int = Field(default=1, ge=1)
    startup_timeout_seconds: int = Field(default=600, ge=1)
    task_cluster: str = ""
    min_workers: int = Field(default=0, ge=0)
    max_workers: int = Field(default=0, ge=0)
    elastic: bool = False
    idle_seconds: int = Field(default=2, ge=0)
    dashboard: bool = False
    object_store_bytes: int | None = Field(default=None, ge=0)


class ResultType(StrEnum):
    """How the flow ended, in Prefect's words."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CRASHED = "CRASHED"
    CANCELLED = "CANCELLED"


class Result(ContractModel):
    """The driver's last word, read from its termination message."""

    flow_run_id: str | None = None
    type: ResultType
    name: str
    message: str = ""
    reason: str
    prefect_informed: bool = True


# What a standalone cluster's coordinator says when it ends because nobody used it.
IDLE = "Idle"
# What a worker says that has another Ray or Python than its head.
VERSION_MISMATCH = "VersionMismatch"


def parse_result(text: str | None) -> Result | None:
    """Read a termination message; None when the driver left none or something else wrote it."""
    if not text:
        return None
    try:
        return Result.model_validate(json.loads(text))
    except (ValueError, RecursionError):  # pydantic's ValidationError is a ValueError
        return None


class LastWords(ContractModel):
    """What a coordinator or a worker says of its end, in its termination message."""

    reason: str
    message: str = ""


def parse_last_words(text: str | None) -> LastWords | None:
    """Read a termination message that need not be a whole result; None when it is none of ours."""
    try:
        return LastWords.model_validate(json.loads(text or ""))
    except (ValueError, RecursionError):
        return None
