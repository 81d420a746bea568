"""Engines: what differs between Dask and Ray, as pure builders behind one small Protocol.

`ENGINES` is the registry; a third engine is one file and one line here.
"""

from flowrun_api.kinds.common import Engine
from flowrun_operator.engines.base import EngineBuilder, HostParts
from flowrun_operator.engines.dask import DaskBuilder
from flowrun_operator.engines.ray import RayBuilder

ENGINES: dict[Engine, EngineBuilder] = {Engine.DASK: DaskBuilder(), Engine.RAY: RayBuilder()}

__all__ = ["ENGINES", "EngineBuilder", "HostParts"]
