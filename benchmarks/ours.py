"""One run of FlowRun: what is created, and which pods are whose."""

from __future__ import annotations

from kube import Kube, Raw
from recorder import label
from settings import RESOURCES, Settings

NAME = "ours"


def create(kube: Kube, settings: Settings, name: str, **parameters: float) -> None:
    """Create the FlowRun, as `kubectl create` would."""
    kube.create("flowruns", settings.namespace, flow_run(settings, name, parameters))


def flow_run(settings: Settings, name: str, parameters: Raw, engine: str = "Dask") -> Raw:
    return {
        "apiVersion": "flowrun.dev/v1alpha1",
        "kind": "FlowRun",
        "metadata": {"name": name},
        "spec": {
            "flow": {"entrypoint": "flow.py:main", "source": {"configMap": "bench"}, "parameters": parameters},
            "image": settings.image,
            "env": [{"name": "BENCH_RUN", "value": name}],
            "driver": {"resources": RESOURCES},
            "clusters": [
                {
                    "name": "default",
                    "engine": engine,
                    "workers": {"replicas": settings.workers, "threads": 1, "resources": RESOURCES},
                }
            ],
        },
    }


def remove(kube: Kube, settings: Settings, name: str) -> None:
    kube.delete("flowruns", settings.namespace, name)


def is_driver(pod: Raw) -> bool:
    return label(pod, "flowrun.dev/role") == "driver"


def is_worker(pod: Raw) -> bool:
    return label(pod, "flowrun.dev/role") == "worker"
