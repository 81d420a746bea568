"""Tell a flow's log why it is waiting for its cluster, in the operator's words."""

from __future__ import annotations

import logging
import threading
from typing import Any, Self

from prefect_flowrun.clusters.kubernetes import Condition, ScaleError, TaskClusters

POLL_INTERVAL_S = 1.0

Logger = logging.Logger | logging.LoggerAdapter[Any]


class Reasons:
    """A context: while in it, what the operator says of a cluster that is not ready goes to the log."""

    def __init__(self, clusters: TaskClusters | None, task_cluster: str, name: str, logger: Logger) -> None:
        """Prepare.

        Args:
            clusters: None means that there is nobody to ask.
            task_cluster: name of the object.
            name: of the cluster within the run, for the log.
            logger: of the flow run.
        """
        self._clusters = clusters
        self._task_cluster = task_cluster
        self._name = name
        self._logger = logger
        self._done = threading.Event()
        self.last = ""

    def __enter__(self) -> Self:
        if self._clusters is not None:
            threading.Thread(target=self._poll, args=(self._clusters,), name="flowrun-reasons", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def _poll(self, clusters: TaskClusters) -> None:
        while not self._done.wait(POLL_INTERVAL_S):
            try:
                condition = clusters.condition(self._task_cluster)
            except ScaleError as error:
                condition = Condition(ready=False, reason="Unknown", message=str(error))
            if condition is None or condition.ready:
                continue
            reason = f"{condition.reason}: {condition.message}" if condition.message else condition.reason
            if reason != self.last and not self._done.is_set():
                self.last = reason
                self._logger.info("Waiting for cluster %r. %s", self._name, reason)
