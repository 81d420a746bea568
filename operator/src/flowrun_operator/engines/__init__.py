"""Engines: what differs between Dask and Ray, as pure builders behind one small Protocol.

`ENGINES` is the registry; a third engine is one file and one line here.
"""

from flowrun_api.kinds.common import Engine
from flowrun_api.kinds.taskcluster import TaskCluster
from flowrun_operator.engines.base import EngineBuilder, HostParts
from flowrun_operator.engines.dask import DaskBuilder
from flowrun_operator.engines.ray import RayBuilder

ENGINES: dict[Engine, EngineBuilder] = {Engine.DASK: DaskBuilder(), Engine.RAY: RayBuilder()}


def http_port(cluster: TaskCluster) -> int:
    """Return the port of the HTTP endpoints of a cluster's coordinator."""
    return ENGINES[cluster.spec.engine].http_port(cluster.spec.coordinator_port)


__all__ = ["ENGINES", "EngineBuilder", "HostParts", "http_port"]
