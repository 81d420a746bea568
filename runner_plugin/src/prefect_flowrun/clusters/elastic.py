"""Workers in numbers that follow the tasks: applies what `clusters.size` decides to one cluster."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from prefect_flowrun.clusters import retire
from prefect_flowrun.clusters.kubernetes import TaskClusters
from prefect_flowrun.clusters.size import Bounds, Steady, bounds_of, wanted

if TYPE_CHECKING:
    from flowrun_api.contract import ClusterContract
    from prefect_flowrun.engines.base import Engine

logger = logging.getLogger(__name__)

INTERVAL_S = 0.5


class Elastic:
    """Follows the tasks of one cluster, up at once and down when workers have been idle for a while."""

    def __init__(self, cluster: ClusterContract, engine: Engine, clusters: TaskClusters, replicas: int) -> None:
        """Prepare.

        Args:
            cluster: as the operator describes it.
            engine: connected to it.
            clusters: to scale it.
            replicas: how many workers it has been given.
        """
        self._cluster = cluster
        self._engine = engine
        self._clusters = clusters
        self._steady = Steady(cluster.idle_seconds)
        self._asked = 0
        self.replicas = replicas
        self._stopped = threading.Event()
        self._started = False

    def at_least(self, workers: int) -> None:
        """Keep so many workers, as a runner has asked for.

        Args:
            workers: 0 means that no runner asks any more.
        """
        self._asked = max(self._asked, workers) if workers else 0

    def start(self, outstanding: Callable[[], int]) -> None:
        """Begin to follow.

        Args:
            outstanding: counts the tasks that have not ended.
        """
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, args=(outstanding,), name="flowrun-elastic", daemon=True).start()

    def stop(self) -> None:
        """Leave the workers as many as they are."""
        self._stopped.set()

    def _run(self, outstanding: Callable[[], int]) -> None:
        while not self._stopped.wait(INTERVAL_S):
            try:
                self.adapt(outstanding(), time.monotonic())
            # The cluster may be ending, or the API server be away: both pass, and neither ends a flow.
            except Exception as error:
                logger.warning("Cluster %r was not scaled: %s", self._cluster.name, error)

    def adapt(self, outstanding: int, now_s: float) -> None:
        """Bring the number of workers to what the tasks need.

        Args:
            outstanding: tasks that have not ended.
            now_s: of a clock that never goes back.

        Raises:
            ScaleError: Kubernetes refuses, or does not answer.
        """
        bounds = bounds_of(self._cluster)
        bounds = Bounds(bounds.clamp(max(bounds.fewest, self._asked)), bounds.most)
        need = wanted(outstanding, self._cluster.threads_per_worker, bounds)
        target = self._steady.follow(now_s, need)
        if target > self.replicas:
            self._set(target)
        elif target < self.replicas:
            self._shrink(self.replicas - target)

    def _shrink(self, surplus: int) -> None:
        """Give up workers that have not come yet, then those that are idle; a busy one stays."""
        pending = max(0, self.replicas - self._engine.wait_for_workers(1, 0))
        gone = min(surplus, pending)
        if surplus > gone:
            gone += retire.retire_idle(self._engine, surplus - gone, self._cluster.idle_seconds)
        if gone:
            self._set(self.replicas - gone)

    def _set(self, replicas: int) -> None:
        self._clusters.scale(self._cluster.task_cluster, replicas)
        logger.info("Cluster %r: %d worker(s), before %d", self._cluster.name, replicas, self.replicas)
        self.replicas = replicas
