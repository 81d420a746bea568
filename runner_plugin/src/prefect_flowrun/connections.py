"""Connections of this process to clusters, shared by the task runners that use them.

The clusters of a FlowRun outlive any one flow: a subflow reuses its parent's connection, and the driver closes all at
the end. A local cluster (laptop) ends with the last runner that uses it.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from prefect_flowrun.context import Tasks
from prefect_flowrun.parcels import Shelf

if TYPE_CHECKING:
    from prefect_flowrun.contract import ClusterContract
    from prefect_flowrun.engines.base import Engine

# What the first `.submit` imports: the engine, and of Prefect's what draws flows (graphviz).
_NEEDED_BY_FIRST_SUBMIT = {
    "Dask": ("prefect_flowrun.engines.dask", "prefect.utilities.visualization"),
    "Ray": ("prefect_flowrun.engines.ray", "prefect.utilities.visualization"),
}


class Connection:
    """An engine, and what of this process is on its cluster already."""

    def __init__(self, key: str, engine: Engine) -> None:
        """Begin with nothing on the cluster.

        Args:
            key: of the cluster.
            engine: connected.
        """
        self.key = key
        self.engine = engine
        self.shelf = Shelf(engine.put)
        self.tasks = Tasks()
        self.users = 0


_lock = threading.Lock()
_connections: dict[str, Connection] = {}
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


def acquire_cluster(cluster: ClusterContract) -> Connection:
    """Connect to a cluster of the run, or share the connection there is.

    Args:
        cluster: the cluster as the operator describes it.

    Raises:
        ImportError: the image lacks the engine.
        TimeoutError: the coordinator did not answer within the start-up time.
    """

    def connect() -> Engine:
        try:
            engine: Engine = _engine(cluster.engine).connect(cluster)
        except TimeoutError as error:
            _startup_failures.append(str(error))
            raise
        return engine

    return _acquire(cluster.name, connect)


def acquire_local(engine: str) -> Connection:
    """Start this process's local cluster of an engine, or share the one there is.

    Args:
        engine: "dask" or "ray".

    Raises:
        ImportError: the engine is not installed.
    """
    return _acquire(f"local/{engine}", lambda: _engine(engine).start_local())


def release_local(connection: Connection) -> None:
    """Give a local cluster back; it stops with its last user.

    Args:
        connection: from `acquire_local`.
    """
    with _lock:
        connection.users -= 1
        if connection.users > 0:
            return
        _connections.pop(connection.key, None)
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


def _acquire(key: str, start: Callable[[], Engine]) -> Connection:
    # Held while connecting: a second thread needs the same connection and gains nothing by trying too.
    with _lock:
        connection = _connections.get(key)
        if connection is None:
            connection = _connections[key] = Connection(key, start())
        connection.users += 1
        return connection


def _engine(name: str) -> Any:
    """Import an engine; none is imported unless used."""
    try:
        if name.lower() == "ray":
            from prefect_flowrun.engines.ray import RayEngine  # noqa: PLC0415

            return RayEngine
        from prefect_flowrun.engines.dask import DaskEngine  # noqa: PLC0415
    except ImportError as error:
        extra = name.lower()
        raise ImportError(
            f"{name.capitalize()} is not installed here: pip install 'prefect-flowrun[{extra}]'"
        ) from error
    return DaskEngine
