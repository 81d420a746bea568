"""Options of `ClusterTaskRunner`, checked when they are given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from flowrun_api import environment
from prefect_flowrun.engines.needs import Needs


class EngineChoice(StrEnum):
    """Where tasks run."""

    DASK = "dask"
    RAY = "ray"
    THREADS = "threads"
    SEQUENTIAL = "sequential"


class Fallback(StrEnum):
    """What a flow outside a FlowRun uses."""

    LOCAL = "local"
    THREADS = "threads"
    ERROR = "error"


@dataclass(frozen=True)
class StandsFor:
    """What the stock runner of an unmodified flow had said, in whose place a ClusterTaskRunner stands."""

    needs: Needs | None = None
    """Of tasks that say nothing else."""
    notes: tuple[str, ...] = ()
    """What has no effect here, in words for the flow run's log."""
    client_kwargs: tuple[tuple[str, Any], ...] = ()
    """Arguments of prefect-dask's client, by name. They stay in this process: some hold connections."""
    cluster_kwargs: tuple[tuple[str, Any], ...] = ()
    """The same of its cluster."""
    adapt_kwargs: tuple[tuple[str, Any], ...] = ()
    """The same of its limits."""


class RunnerOptions(BaseModel):
    """See `ClusterTaskRunner.__init__`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster: str | None = None
    engine: EngineChoice | None = None
    fallback: Fallback = Fallback.LOCAL
    address: str | None = None
    workers: int | None = Field(default=None, ge=1)
    max_workers: int | None = Field(default=None, ge=1)
    min_workers: int = Field(default=0, ge=0)
    connect_timeout_s: float | None = Field(default=None, gt=0)
    exit_timeout_s: float | None = Field(default=None, ge=0)
    lost_task_retries: int | None = Field(default=None, ge=0)
    performance_report_path: str | None = None
    all_events: bool | None = None


def engine_override(env: Mapping[str, str] = os.environ) -> EngineChoice | None:
    """Return the engine that the environment sets for every runner of this process; None if it sets none.

    Args:
        env: usually `os.environ`.

    Raises:
        ValueError: the variable names no engine.
    """
    value = env.get(environment.ENGINE)
    if not value:
        return None
    try:
        return EngineChoice(value.lower())
    except ValueError:
        known = ", ".join(EngineChoice)
        raise ValueError(f"{environment.ENGINE} is {value!r}; it may be one of: {known}") from None


def all_events(option: bool | None, env: Mapping[str, str] = os.environ) -> bool:
    """Return whether Prefect is to hear of every state of short task runs, too.

    Args:
        option: of the runner; None leaves it to the environment.
        env: usually `os.environ`.
    """
    return option if option is not None else env.get(environment.ALL_EVENTS, "").lower() in ("1", "true", "yes")
