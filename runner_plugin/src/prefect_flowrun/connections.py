"""Connections of this process to clusters, shared by the task runners that use them.

The clusters of a FlowRun outlive any one flow: a subflow reuses its parent's connection, and the driver closes all at
the end. A local cluster (laptop) ends with the last runner that uses it.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect_flowrun.contract import ClusterContract
    from prefect_flowrun.engines.base import Engine

LOCAL = "local"
# What the first `.submit` imports: the engine, and of Prefect's what draws flows (graphviz).
_NEEDED_BY_FIRST_SUBMIT = {"Dask": ("prefect_flowrun.engines.dask", "prefect.utilities.visualization")}


@dataclass
class _Connection:
    engine: Engine
    users: int = 0


_lock = threading.Lock()
_connections: dict[str, _Connection] = {}
_startup_failures: list[str] = []


def import_engines(clusters: Sequence[ClusterContract]) -> None:
    """Import in a thread what the first submit needs, while the driver waits for the answers of Prefect's API.

    To be called when the flow's own modules are imported: until then this would only compete with them.

    Args:
        clusters: of the run.
    """
    modules = [module for cluster in clusters for module in _NEEDED_BY_FIRST_SUBMIT.get(cluster.engine, ())]
    if modules:
        threading.Thread(target=_import, args=(modules,), name="flowrun-import", daemon=True).start()


def acquire_cluster(cluster: ClusterContract) -> Engine:
    """Connect to a cluster of the run, or share the connection there is.

    Args:
        cluster: the cluster as the operator describes it.

    Raises:
        NotImplementedError: the engine is not supported yet.
        TimeoutError: the coordinator did not answer within the start-up time.
    """
    return _acquire(cluster.name, lambda: _connect(cluster))


def acquire_local() -> Engine:
    """Start the local Dask cluster of this process, or share the one there is."""
    return _acquire(LOCAL, _start_local)


def release_local() -> None:
    """Give the local cluster back; it stops with its last user."""
    with _lock:
        connection = _connections.get(LOCAL)
        if connection is None:
            return
        connection.users -= 1
        if connection.users > 0:
            return
        del _connections[LOCAL]
    connection.engine.close()


def startup_failure() -> str | None:
    """Say which cluster did not start in time, if one did not; None otherwise."""
    with _lock:
        failures = [connection.engine.startup_failure for connection in _connections.values()]
    return next((failure for failure in [*_startup_failures, *failures] if failure), None)


def close_all() -> None:
    """Close every connection; the driver's last word to its clusters."""
    with _lock:
        engines = [connection.engine for connection in _connections.values()]
        _connections.clear()
    for engine in engines:
        engine.close()


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        # The first submit meets the same error, and reports it.
        with contextlib.suppress(Exception):
            importlib.import_module(module)


def _acquire(key: str, start: Callable[[], Engine]) -> Engine:
    # Held while connecting: a second thread needs the same connection and gains nothing by trying too.
    with _lock:
        connection = _connections.get(key)
        if connection is None:
            connection = _connections[key] = _Connection(start())
        connection.users += 1
        return connection.engine


def _connect(cluster: ClusterContract) -> Engine:
    if cluster.engine != "Dask":
        raise NotImplementedError(
            f"Cluster {cluster.name!r}: engine {cluster.engine} is not supported yet, only Dask is"
        )
    from prefect_flowrun.engines.dask import DaskEngine  # noqa: PLC0415 - no engine is imported unless used

    try:
        return DaskEngine.connect(cluster)
    except TimeoutError as error:
        _startup_failures.append(str(error))
        raise


def _start_local() -> Engine:
    from prefect_flowrun.engines.dask import DaskEngine  # noqa: PLC0415 - no engine is imported unless used

    return DaskEngine.start_local()
