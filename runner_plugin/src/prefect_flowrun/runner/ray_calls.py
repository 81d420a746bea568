"""`ray.init()` of a flow joins the run's Ray cluster, and `ray.shutdown()` leaves it, wherever they stand in the flow.

The flow is then one more user of the connection that the runner has, or will find.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger

from flowrun_api.contract import Activation
from prefect_flowrun.engines.ray import calls
from prefect_flowrun.runner import connections

if TYPE_CHECKING:
    from flowrun_api.contract import ClusterContract
    from prefect_flowrun.clusters.waiting_reasons import Logger

# Ray's own name for it; `ray.init()` in processes that the flow starts goes by it too.
ADDRESS = "RAY_ADDRESS"
# Options of ray.init() that a connection to a running cluster can have.
_OF_A_CONNECTION = (
    *("namespace", "runtime_env", "job_config", "log_to_driver", "logging_config"),
    *("configure_logging", "logging_level", "logging_format"),
)
# Options that have no effect if Ray is connected already, and that somebody would miss.
_OF_THE_START = ("namespace", "runtime_env", "job_config")
# Without effect, whatever they say: nobody would miss them.
_WITHOUT_EFFECT = ("ignore_reinit_error", "include_dashboard", "dashboard_host", "dashboard_port")


def install(clusters: Sequence[ClusterContract], env: MutableMapping[str, str] = os.environ) -> None:
    """Have Ray's functions lead to the run's cluster from now on. To be called before the flow's modules are imported.

    Args:
        clusters: of the run. The first with Ray that starts with the run is joined, else the first on demand.
        env: usually `os.environ`. If it names another Ray for this process, that is what the user wants.
    """
    cluster = _cluster_to_join(clusters)
    if cluster is None or env.get(ADDRESS) not in (None, "", "auto"):
        return
    if cluster.activation is Activation.ON_START:
        env[ADDRESS] = cluster.address
    calls.route_when_imported(RunsCluster(cluster))


def left_out(options: Mapping[str, Any]) -> list[str]:
    """Return options of `ray.init` that a running cluster can't have.

    Args:
        options: as the flow gives them.
    """
    known = (*_OF_A_CONNECTION, *_WITHOUT_EFFECT)
    return sorted(name for name, value in options.items() if name not in known and value not in (None, False))


class RunsCluster:
    """A Ray cluster of the run, which the calls join and leave."""

    def __init__(self, cluster: ClusterContract) -> None:
        """Begin without a connection.

        Args:
            cluster: of the run.
        """
        self._cluster = cluster
        self._lock = threading.Lock()
        self._connection: connections.Connection | None = None

    def is_ours(self, address: str) -> bool:
        """See `Destination.is_ours`."""
        return address == self._cluster.address

    def join(self, options: dict[str, Any]) -> None:
        """See `Destination.join`."""
        from prefect_flowrun.engines.ray import connection  # noqa: PLC0415 - Ray is imported by now

        logger = _logger()
        if names := left_out(options):
            logger.warning(
                "ray.init() joins cluster %r of this FlowRun; left out, since it runs already: %s. "
                "The size of its workers is said in clusters[].workers",
                self._cluster.name,
                ", ".join(names),
            )
        asked = {name: options[name] for name in _OF_A_CONNECTION if name in options}
        token = connection.asked.set(asked)
        try:
            joined = connections.acquire_cluster(self._cluster, logger)
        finally:
            connection.asked.reset(token)
        with self._lock:
            twice, self._connection = self._connection, joined
        if twice is not None:  # by another thread, at the same time
            connections.release(twice)

    def stay(self, options: dict[str, Any]) -> None:
        """See `Destination.stay`."""
        if late := [name for name in _OF_THE_START if options.get(name)]:
            _logger().warning(
                "ray.init() came after this process had joined Ray, so it had no effect: %s. "
                "Call it before the first submit",
                ", ".join(late),
            )

    def leave(self) -> bool:
        """See `Destination.leave`."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connections.release(connection)
        return True


def _cluster_to_join(clusters: Sequence[ClusterContract]) -> ClusterContract | None:
    with_ray = [cluster for cluster in clusters if cluster.engine == "Ray"]
    at_start = [cluster for cluster in with_ray if cluster.activation is Activation.ON_START]
    return next(iter([*at_start, *with_ray]), None)


def _logger() -> Logger:
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("task_runner.cluster")
