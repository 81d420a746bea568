"""What the operator must know of an engine."""

from __future__ import annotations

from typing import Any, Protocol

from flowrun_operator.api.flowrun import ClusterSpec
from flowrun_operator.api.taskcluster import TaskCluster
from flowrun_operator.contract import ClusterContract


class EngineBuilder(Protocol):
    """Builders of one engine. Its twin in the plugin starts the coordinator and talks to it."""

    def contract(self, cluster: ClusterSpec, port: int, startup_timeout_s: int) -> ClusterContract:
        """Return what the driver must know to start and reach the coordinator.

        Args:
            cluster: The cluster as the user wrote it.
            port: First port of the range that the coordinator may use.
            startup_timeout_s: Seconds until tasks without a worker are given up.
        """

    def service(self, cluster: TaskCluster) -> dict[str, Any]:
        """Return the Service by which workers find the coordinator."""

    def worker(self, cluster: TaskCluster, index: int) -> dict[str, Any]:
        """Return a worker pod."""
