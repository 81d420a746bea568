"""One run of the peer: a Job whose driver creates a KubeCluster itself, with prefect-dask's DaskTaskRunner."""

from __future__ import annotations

import json

from kube import Kube, Raw
from recorder import label
from settings import RESOURCES, Settings

NAME = "peer"
SERVICE_ACCOUNT = "driver"


def create(kube: Kube, settings: Settings, name: str) -> None:
    """Create the Job."""
    kube.create("jobs", settings.namespace, job(settings, name))


def job(settings: Settings, name: str) -> Raw:
    env = {
        "PREFECT_API_URL": settings.prefect_api_url,
        "BENCH_RUN": name,
        "BENCH_IMAGE": settings.image,
        "BENCH_WORKERS": str(settings.workers),
        "BENCH_NAMESPACE": settings.namespace,
        "BENCH_RESOURCES": json.dumps(RESOURCES),
        "HOME": "/tmp",
    }
    container = {
        "name": "driver",
        "image": settings.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "/flowrun/source/flow.py"],
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "resources": RESOURCES,
        "volumeMounts": [{"name": "source", "mountPath": "/flowrun/source"}],
    }
    spec = {
        "restartPolicy": "Never",
        "serviceAccountName": SERVICE_ACCOUNT,
        "containers": [container],
        "volumes": [{"name": "source", "configMap": {"name": "bench"}}],
    }
    return {"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": {"spec": spec}}}


def remove(kube: Kube, settings: Settings, name: str) -> None:
    kube.delete("jobs", settings.namespace, name)
    kube.delete("daskclusters", settings.namespace, name)


def is_driver(pod: Raw) -> bool:
    return bool(label(pod, "batch.kubernetes.io/job-name"))


def is_worker(pod: Raw) -> bool:
    return label(pod, "dask.org/component") == "worker"
