"""Redirect the task runners of unmodified flows to the clusters of the run.

`Flow.__init__` is wrapped before the user's module is imported, so it also catches subflows, `with_options` and flows
made at run time. What names a cluster of its own (an address, a cluster object or class) is left alone.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from prefect.flows import Flow
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from prefect_flowrun.contract import ClusterContract, RedirectPolicy
from prefect_flowrun.runner.options import EngineChoice
from prefect_flowrun.runner.task_runner import ClusterTaskRunner

# By name: importing prefect_dask to compare classes would cost time, and need not be installed.
_STOCK_RUNNERS = {("prefect_dask", "DaskTaskRunner"): "Dask", ("prefect_ray", "RayTaskRunner"): "Ray"}
_OWN_CLUSTER_ATTRIBUTES = ("address", "_cluster", "cluster_class")


def install(clusters: Sequence[ClusterContract], policy: RedirectPolicy, override: EngineChoice | None = None) -> None:
    """Redirect every Flow made from now on in this process.

    Args:
        clusters: of the run; with none, nothing is redirected, unless the engine is overridden.
        policy: which runners are redirected.
        override: engine that FLOWRUN_ENGINE sets for the whole run.
    """
    if policy is RedirectPolicy.NONE or not (clusters or override):
        return
    original = Flow.__init__

    @functools.wraps(original)
    def redirecting(self: Flow[..., Any], *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.task_runner = choose(self.task_runner, clusters, policy, override)

    Flow.__init__ = redirecting  # type: ignore[method-assign]


def choose(
    runner: TaskRunner[Any],
    clusters: Sequence[ClusterContract],
    policy: RedirectPolicy,
    override: EngineChoice | None = None,
) -> TaskRunner[Any]:
    """Return the runner that a flow should use in place of the given one, often the same.

    Args:
        runner: what the flow asks for, or Prefect's default.
        clusters: of the run.
        policy: which runners are redirected.
        override: engine that FLOWRUN_ENGINE sets for the whole run; the new runner reads it again by itself.
    """
    if policy is RedirectPolicy.NONE or not (clusters or override):
        return runner
    if _is_default(runner):
        return ClusterTaskRunner(clusters[0].name if clusters else None)
    if policy is RedirectPolicy.ALL and (engine := _stock_engine(runner)):
        if override:
            return ClusterTaskRunner()
        for cluster in clusters:
            if cluster.engine == engine:
                return ClusterTaskRunner(cluster.name)
    return runner


def _is_default(runner: TaskRunner[Any]) -> bool:
    return type(runner) is ThreadPoolTaskRunner and runner == ThreadPoolTaskRunner()


def _stock_engine(runner: TaskRunner[Any]) -> str | None:
    """Name the engine of a stock runner that would start a local cluster; None for any other runner."""
    package = type(runner).__module__.partition(".")[0]
    engine = _STOCK_RUNNERS.get((package, type(runner).__name__))
    if engine is None or any(getattr(runner, name, None) for name in _OWN_CLUSTER_ATTRIBUTES):
        return None
    return engine
