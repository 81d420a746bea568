"""The life of a run's cluster as seen from the driver: up when a flow first needs it, down when no flow does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from flowrun_api.contract import Activation, ClusterContract
from prefect_flowrun.clusters.elastic import Elastic
from prefect_flowrun.clusters.kubernetes import ScaleError, TaskClusters
from prefect_flowrun.clusters.size import size
from prefect_flowrun.clusters.waiting_reasons import Logger, Reasons

if TYPE_CHECKING:
    from prefect_flowrun.engines.base import Engine


class ClusterStartupError(RuntimeError):
    """A cluster did not start in time, or can't be started."""


class Starter(Protocol):
    """Starts and stops coordinators: `prefect_flowrun.coordinator.children.Coordinators`."""

    def start_one(self, cluster: ClusterContract) -> None:
        """Start the coordinator of a cluster, unless it runs."""

    def stop_one(self, name: str) -> None:
        """Stop the coordinator of a cluster, if it runs."""


class Lifecycle:
    """Brings the clusters of a run up and down."""

    def __init__(self, starter: Starter | None = None, clusters: TaskClusters | None = None) -> None:
        """Prepare.

        Args:
            starter: of coordinators; None means that they are somebody else's business.
            clusters: to scale; None means that the workers are somebody else's business.
        """
        self._starter = starter
        self._clusters = clusters
        self._elastic: dict[str, Elastic] = {}
        self._replicas: dict[str, int] = {}

    def bring_up(
        self, cluster: ClusterContract, workers: int | None, connect: Callable[[], Engine], logger: Logger
    ) -> Engine:
        """Connect to a cluster, starting it first if it starts on demand.

        Args:
            cluster: of the run.
            workers: that the runner asks for; None means the FlowRun's number.
            connect: connects to the coordinator.
            logger: of the flow run: is told what is being waited for.

        Raises:
            BoundsError: the FlowRun does not allow so many workers.
            ClusterStartupError: the coordinator, or the first worker, did not come within the start-up time, or
                Kubernetes refuses to scale the cluster.
        """
        replicas = size(cluster, workers)
        self._stop_following(cluster)
        try:
            if cluster.activation is Activation.ON_DEMAND:
                engine = self._start(cluster, replicas, connect, logger)
            else:
                engine = connect()
        # Not as a TimeoutError: Prefect would say that the flow took too long.
        except (TimeoutError, ScaleError) as error:
            raise ClusterStartupError(str(error)) from error
        if cluster.elastic and self._clusters is not None:
            elastic = Elastic(cluster, engine, self._clusters, self._replicas.get(cluster.name, cluster.workers))
            elastic.at_least(workers or 0)
            self._elastic[cluster.name] = elastic
        return engine

    def ask(self, cluster: ClusterContract, workers: int | None) -> None:
        """Take in that a further runner uses a cluster that is up.

        Args:
            cluster: of the run.
            workers: that the runner asks for.

        Raises:
            BoundsError: the FlowRun does not allow so many workers.
        """
        size(cluster, workers)
        if workers and (elastic := self._elastic.get(cluster.name)) is not None:
            elastic.at_least(workers)

    def forget(self, cluster: ClusterContract) -> None:
        """Take in that nobody uses a cluster any more."""
        if (elastic := self._elastic.get(cluster.name)) is not None:
            elastic.at_least(0)

    def watch(self, cluster: ClusterContract, outstanding: Callable[[], int]) -> None:
        """Let an elastic cluster follow the tasks.

        Args:
            cluster: of the run.
            outstanding: counts the tasks that have not ended.
        """
        if (elastic := self._elastic.get(cluster.name)) is not None:
            elastic.start(outstanding)

    def take_down(self, cluster: ClusterContract) -> None:
        """Let the workers of a cluster on demand go, and stop its coordinator. The connection is closed already.

        Args:
            cluster: of the run.
        """
        self._stop_following(cluster)
        if cluster.activation is not Activation.ON_DEMAND:
            return
        # First: the workers leave by themselves when it is gone.
        if self._starter is not None:
            self._starter.stop_one(cluster.name)
        self._scale(cluster, 0)

    def _stop_following(self, cluster: ClusterContract) -> None:
        if (elastic := self._elastic.pop(cluster.name, None)) is not None:
            elastic.stop()
            self._replicas[cluster.name] = elastic.replicas

    def _start(self, cluster: ClusterContract, replicas: int, connect: Callable[[], Engine], logger: Logger) -> Engine:
        """Start a cluster on demand and wait for its first worker."""
        logger.info("Starting cluster %r on demand: %s, %d worker(s)", cluster.name, cluster.engine, replicas)
        began = time.monotonic()
        try:
            if self._starter is not None:
                self._starter.start_one(cluster)
            with Reasons(self._clusters, cluster.task_cluster, cluster.name, logger) as reasons:
                self._scale(cluster, replicas)
                engine = connect()
                left = cluster.startup_timeout_seconds - (time.monotonic() - began)
                if not engine.wait_for_workers(1, max(1.0, left)):
                    engine.close()
                    raise TimeoutError(_no_worker(cluster, reasons.last))
        except BaseException:
            self.take_down(cluster)
            raise
        logger.info("Cluster %r has its first worker after %.1f s", cluster.name, time.monotonic() - began)
        return engine

    def _scale(self, cluster: ClusterContract, replicas: int) -> None:
        if self._clusters is not None and cluster.task_cluster:
            self._clusters.scale(cluster.task_cluster, replicas)
            self._replicas[cluster.name] = replicas


def _no_worker(cluster: ClusterContract, reason: str) -> str:
    message = f"No worker of cluster {cluster.name!r} joined within {cluster.startup_timeout_seconds} s"
    return f"{message}. {reason}" if reason else message
