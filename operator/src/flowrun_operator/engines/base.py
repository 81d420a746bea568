"""What the operator must know of an engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from flowrun_api.kinds.common import Resources, SecretKey, WorkerOptions
from flowrun_api.kinds.taskcluster import TaskCluster


@dataclass(frozen=True)
class HostParts:
    """What a container needs in which coordinators of an engine run."""

    env: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)
    mounts: list[dict[str, Any]] = field(default_factory=list)


class EngineBuilder(Protocol):
    """Builders of one engine. Its twin in the plugin starts the coordinator and talks to it."""

    @property
    def worker_floor_bytes(self) -> int:
        """Memory limit below which no worker starts; 0: unknown."""

    def coordinator_floor_bytes(self, *, dashboard: bool) -> int:
        """Return the memory without which no coordinator starts; 0: unknown."""

    def address(self, host: str, port: int) -> str:
        """Return a coordinator's address in the engine's own form."""

    def http_port(self, port: int) -> int:
        """Return the port of a coordinator's HTTP endpoints beside its port for the engine's protocol."""

    def dashboard_url(self, host: str, port: int) -> str:
        """Return where a coordinator on a host serves its dashboard, given its port for the engine's protocol."""

    def slots(self, workers: WorkerOptions) -> int:
        """Return how many tasks a worker runs at a time."""

    def store_bytes(self, resources: Resources | None, coordinators: int) -> int | None:
        """Return the size of a coordinator's object store, or None for an engine without one.

        Args:
            resources: Of the container in which the coordinators run.
            coordinators: How many of this engine share it.
        """

    def host(self, resources: Resources | None, coordinators: int, token: SecretKey) -> HostParts:
        """Return what the container needs in which coordinators run.

        Args:
            resources: Of the container.
            coordinators: How many of this engine run in it.
            token: Where the word is that all nodes of a cluster share, for an engine that has one.
        """

    def worker(self, cluster: TaskCluster, index: int) -> dict[str, Any]:
        """Return a worker pod."""
