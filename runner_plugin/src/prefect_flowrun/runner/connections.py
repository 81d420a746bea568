"""Connections of this process to clusters, shared by the task runners that use them.

The clusters of a FlowRun outlive any one flow: a subflow reuses its parent's connection, and all end with the driver.
A cluster on demand goes some seconds after the last runner that uses it; a local one (laptop) goes with it, and a
standalone TaskCluster is left with it.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from flowrun_api.contract import Activation
from prefect_flowrun.clusters.kubernetes import ScaleError
from prefect_flowrun.clusters.lifecycle import ClusterStartupError, Lifecycle
from prefect_flowrun.runner import dashboard_notice, standalone_cluster
from prefect_flowrun.runner.kept_outcomes import keep_outcomes
from prefect_flowrun.source import work_folder
from prefect_flowrun.wire.context import Tasks
from prefect_flowrun.wire.shared_blobs import Shelf

if TYPE_CHECKING:
    from flowrun_api.contract import ClusterContract
    from prefect_flowrun.clusters.waiting_reasons import Logger
    from prefect_flowrun.engines.base import Engine
    from prefect_flowrun.runner.futures import ClusterFuture
    from prefect_flowrun.worker.own_cluster import Join

_logger = logging.getLogger(__name__)

# What the first `.submit` imports: the engine, and of Prefect's what draws flows (graphviz).
_NEEDED_BY_FIRST_SUBMIT = {
    "Dask": ("prefect_flowrun.engines.dask.engine", "prefect.utilities.visualization"),
    "Ray": ("prefect_flowrun.engines.ray.engine", "prefect.utilities.visualization"),
}


# Of a worker's process to its own cluster.
_OWN = "own"


class Connection:
    """An engine, and what of this process is on its cluster already."""

    def __init__(self, key: str, engine: Engine, cluster: ClusterContract | None = None) -> None:
        """Begin with nothing on the cluster.

        Args:
            key: of the cluster.
            engine: connected.
            cluster: of the run; None for a local one.
        """
        self.key = key
        self.engine = engine
        self.cluster = cluster
        self.shelf = Shelf(engine.put, engine.holds)
        self.tasks = Tasks()
        self.futures: weakref.WeakSet[ClusterFuture[Any]] = weakref.WeakSet()
        """Those that somebody still holds."""
        self.users = 0
        self._counts: weakref.WeakSet[Counts] = weakref.WeakSet()

    @property
    def ends_with_process(self) -> bool:
        """Whether the cluster is the run's own, which goes with the driver; others count their users."""
        return self.cluster is not None and not self.cluster.name.startswith(standalone_cluster.PREFIX)

    def sent_folder(self) -> Path | None:
        """Return the folder that must be sent to the workers, None where they have what this process has."""
        if git_folder := work_folder.fetched():
            return git_folder
        if self.cluster is None or not self.cluster.name.startswith(standalone_cluster.PREFIX):
            return None
        return standalone_cluster.code_folder()

    @property
    def sends_once(self) -> bool:
        """Whether that folder is the flow's working directory too, into which it may write at any time."""
        return work_folder.fetched() is not None

    def count_with(self, counts: Counts) -> None:
        """Have the tasks of a session counted as this connection's, for as long as the session lives.

        Args:
            counts: the session.
        """
        self._counts.add(counts)

    def outstanding(self) -> int:
        """Count the tasks that have not ended."""
        return sum(counts.outstanding for counts in list(self._counts))


class Counts(Protocol):
    """Knows how many of its tasks have not ended."""

    @property
    def outstanding(self) -> int:
        """Tasks that have not ended."""


class _Slot:
    """Where the connection to one cluster is, or will be."""

    def __init__(self) -> None:
        # Held while connecting: a second thread needs the same connection and gains nothing by trying too.
        self.lock = threading.Lock()
        self.connection: Connection | None = None
        self.release: threading.Timer | None = None


_lock = threading.Lock()
_slots: dict[str, _Slot] = {}
_startup_failures: list[str] = []
_lifecycle = Lifecycle()


def manage(lifecycle: Lifecycle) -> None:
    """Say who brings up clusters that start on demand; the driver does.

    Args:
        lifecycle: of the run's clusters.
    """
    global _lifecycle  # noqa: PLW0603 - one process is one driver
    _lifecycle = lifecycle


def import_engines(clusters: Sequence[ClusterContract]) -> None:
    """Import in a thread what the first submit needs, while the driver waits for the answers of Prefect's API.

    To be called when the flow's own modules are imported: until then this would only compete with them.

    Args:
        clusters: of the run.
    """
    modules = [module for cluster in clusters for module in _NEEDED_BY_FIRST_SUBMIT.get(cluster.engine, ())]
    if modules:
        threading.Thread(target=_import, args=(modules,), name="flowrun-import", daemon=True).start()


def acquire_cluster(cluster: ClusterContract, logger: Logger, workers: int | None = None) -> Connection:
    """Connect to a cluster of the run, or share the connection there is; start the cluster if it starts on demand.

    Args:
        cluster: the cluster as the operator describes it.
        logger: of the flow run.
        workers: that the runner asks for; None means the FlowRun's number.

    Raises:
        ImportError: the image lacks the engine.
        BoundsError: the FlowRun does not allow so many workers.
        ClusterStartupError: the cluster did not start in time, or can't be started.
        RuntimeError: this process can't connect to it; the message says why.
    """
    slot = _slot(cluster.name)
    with slot.lock:
        if slot.connection is None or slot.connection.engine.closed:
            if cluster.engine == "Ray":
                _leave_other_ray(cluster.name)
            slot.connection = Connection(cluster.name, _bring_up(cluster, workers, logger), cluster)
            _lifecycle.watch(cluster, slot.connection.outstanding)
        else:
            _lifecycle.ask(cluster, workers)
        slot.connection.users += 1
        return slot.connection


def acquire_local(engine: str) -> Connection:
    """Start this process's local cluster of an engine, or share the one there is.

    Args:
        engine: "dask" or "ray".

    Raises:
        ImportError: the engine is not installed.
    """
    slot = _slot(f"local/{engine}")
    with slot.lock:
        if slot.connection is None or slot.connection.engine.closed:
            slot.connection = Connection(f"local/{engine}", _engine(engine).start_local())
        slot.connection.users += 1
        return slot.connection


def acquire_own(join: Join) -> Connection:
    """Share the connection of this worker's process to its own cluster, which stays open from the first use on.

    Args:
        join: of the task that asks.
    """
    slot = _slot(_OWN)
    with slot.lock:
        if slot.connection is None:
            slot.connection = Connection(_OWN, join())
            slot.connection.users += 1  # the process itself
        slot.connection.users += 1
        return slot.connection


def release(connection: Connection) -> None:
    """Give a connection back.

    Args:
        connection: from `acquire_cluster` or `acquire_local`.
    """
    slot, cluster = _slot(connection.key), connection.cluster
    with slot.lock:
        connection.users -= 1
        if connection.users > 0 or slot.connection is not connection:
            return
        # Others' clusters are left at once: they take note of who uses them, and a driver ends without a farewell.
        if cluster is None or not connection.ends_with_process:
            _close(slot)
            return
        _lifecycle.forget(cluster)
        if cluster.activation is Activation.ON_DEMAND:
            # The next subflow may want it again, and a start costs more than a few idle seconds.
            slot.release = threading.Timer(cluster.idle_seconds, _close_if_unused, args=(slot,))
            slot.release.daemon = True
            slot.release.start()


def startup_failure() -> str | None:
    """Say which cluster did not start in time, if one did not; None otherwise."""
    failures = [connection.engine.startup_failure for connection in _open_connections()]
    return next((failure for failure in [*_startup_failures, *failures] if failure), None)


def _bring_up(cluster: ClusterContract, workers: int | None, logger: Logger) -> Engine:
    def connect() -> Engine:
        if cluster.engine == "Ray" and cluster.name.startswith(standalone_cluster.PREFIX):
            from prefect_flowrun.engines.ray import visiting_node  # noqa: PLC0415 - needed here only

            visiting_node.join(cluster.name, cluster.address)
        engine: Engine = _engine(cluster.engine).connect(cluster)
        return engine

    try:
        engine = _lifecycle.bring_up(cluster, workers, connect, logger)
        dashboard_notice.tell(cluster, logger, os.environ)
        return engine
    except ClusterStartupError as error:
        _startup_failures.append(str(error))
        raise


def _leave_other_ray(name: str) -> None:
    """Close connections to other Ray clusters that nobody uses: Ray allows one per process."""
    with _lock:
        others = [slot for key, slot in _slots.items() if key != name]
    for slot in others:
        # A slot that is busy has users, or is about to: then Ray's engine says that there can be no second.
        if slot.lock.acquire(blocking=False):
            try:
                if slot.connection is not None and slot.connection.engine.name == "Ray" and not slot.connection.users:
                    _close(slot)
            finally:
                slot.lock.release()


def _close_if_unused(slot: _Slot) -> None:
    with slot.lock:
        if slot.release is threading.current_thread() and slot.connection is not None and not slot.connection.users:
            _close(slot)


def _close(slot: _Slot) -> None:
    connection, slot.connection, slot.release = slot.connection, None, None
    if connection is None:
        return
    keep_outcomes(connection.engine, list(connection.futures))
    connection.engine.close()
    if connection.cluster is not None:
        try:
            _lifecycle.take_down(connection.cluster)
        except ScaleError as error:
            # Its workers leave with its coordinator, and the rest goes with the run.
            _logger.warning("Cluster %r was not released in order: %s", connection.cluster.name, error)


def _slot(key: str) -> _Slot:
    with _lock:
        return _slots.setdefault(key, _Slot())


def _open_connections() -> list[Connection]:
    with _lock:
        return [slot.connection for slot in _slots.values() if slot.connection is not None]


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        # The first submit meets the same error, and reports it.
        with contextlib.suppress(Exception):
            importlib.import_module(module)


def _engine(name: str) -> Any:
    """Import an engine; none is imported unless used."""
    try:
        if name.lower() == "ray":
            from prefect_flowrun.engines.ray.engine import RayEngine  # noqa: PLC0415

            return RayEngine
        from prefect_flowrun.engines.dask.engine import DaskEngine  # noqa: PLC0415
    except ImportError as error:
        extra = name.lower()
        raise ImportError(
            f"{name.capitalize()} is not installed here: pip install 'prefect-flowrun[{extra}]'"
        ) from error
    return DaskEngine
