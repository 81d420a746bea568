"""Where the dashboard of a cluster is, told in the flow run's log."""

from __future__ import annotations

from collections.abc import Mapping
from logging import Logger, LoggerAdapter
from typing import Any

from flowrun_api import environment
from flowrun_api.contract import ClusterContract


def tell(cluster: ClusterContract, logger: Logger | LoggerAdapter[Any], env: Mapping[str, str]) -> None:
    """Say how the dashboard of a run's cluster is reached, if it serves one.

    Args:
        cluster: of the run.
        logger: of the flow run.
        env: usually `os.environ`.
    """
    if not cluster.dashboard:
        return
    if listen := env.get(environment.LISTEN):  # a run on its user's machine
        way = f"http://{listen}:{cluster.http_port}{'/status' if cluster.engine == 'Dask' else ''}"
    else:
        name, namespace = env.get(environment.NAME, ""), env.get(environment.NAMESPACE, "")
        way = f"flowrun dashboard {name} {cluster.name} --namespace {namespace}"
    logger.info("%s dashboard of cluster '%s': %s", cluster.engine, cluster.name, way)
