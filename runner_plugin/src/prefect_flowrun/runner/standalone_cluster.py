"""Standalone TaskClusters: where a runner with `cluster="taskcluster/NAME"` finds its cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from flowrun_api import environment
from flowrun_api.contract import ClusterContract

PREFIX = "taskcluster/"
# Where the operator's Services listen unless the TaskCluster says otherwise.
PORTS = {"Dask": 8786, "Ray": 6379}
DEFAULT_TIMEOUT_S = 60


class NotReachableError(RuntimeError):
    """The cluster can't be reached from here; the message says how it could."""


def code_folder() -> Path:
    """Return the folder of this process's flow: that of its script, else the working directory (notebooks, drivers)."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script and script.endswith(".py") and environment.ENTRYPOINT not in os.environ:
        return Path(script).absolute().parent
    return Path.cwd()


def contract(cluster: str, engine: str, address: str | None, env: Mapping[str, str]) -> ClusterContract:
    """Describe a standalone cluster as one of a run is described.

    Args:
        cluster: "taskcluster/NAME", or "taskcluster/NAME.NAMESPACE" from another namespace.
        engine: "Dask" or "Ray".
        address: HOST:PORT, if the runner names one.
        env: usually `os.environ`.

    Raises:
        NotReachableError: the process is outside the cluster and knows no address, or the engine is Ray.
    """
    name = cluster.removeprefix(PREFIX)
    port = PORTS[engine]
    inside = "KUBERNETES_SERVICE_HOST" in env
    if engine == "Ray" and not inside:
        # Ray's own way from outside, ray://, is deprecated: 2.4 times as slow, and pickles are opened on the head.
        raise NotReachableError(
            f"A Ray cluster can only be used from a pod of its Kubernetes cluster: its nodes and this process reach "
            f"each other in both directions. Use TaskCluster {name!r} from a pod (a notebook, say), or Dask"
        )
    place = address or env.get(environment.TASKCLUSTER_ADDRESS) or (f"{name}:{port}" if inside else "")
    if not place:
        raise NotReachableError(
            f"TaskCluster {name!r} can't be reached from outside Kubernetes without a port-forward: run `kubectl "
            f"port-forward service/{name} {port}` and set {environment.TASKCLUSTER_ADDRESS}=127.0.0.1:{port} "
            "(or address=...)"
        )
    host, separator, number = place.removeprefix("tcp://").rpartition(":")
    if not separator or not host or not number.isdecimal():
        raise NotReachableError(f"The address of TaskCluster {name!r} is {place!r}; it should be HOST:PORT")
    return ClusterContract(
        name=cluster,
        engine=engine,
        address=f"tcp://{host}:{number}" if engine == "Dask" else f"{host}:{number}",
        port=int(number),
        http_port=int(number) + 1,
        startup_timeout_seconds=DEFAULT_TIMEOUT_S,
    )
