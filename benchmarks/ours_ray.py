"""One run of FlowRun on a Ray cluster; all else as on Dask."""

from __future__ import annotations

from kube import Kube
from ours import flow_run, is_driver, is_worker, remove
from settings import Settings

__all__ = ["NAME", "create", "is_driver", "is_worker", "remove"]

NAME = "ours-ray"


def create(kube: Kube, settings: Settings, name: str, **parameters: float) -> None:
    """Create the FlowRun, as `kubectl create` would."""
    kube.create("flowruns", settings.namespace, flow_run(settings, name, parameters, engine="Ray"))
