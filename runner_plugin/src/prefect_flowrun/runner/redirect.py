"""Redirect the task runners of unmodified flows to the clusters of the run.

`Flow.__init__` is wrapped before the user's module is imported, so it also catches subflows, `with_options` and flows
made at run time; and it alone sees whether a flow has named a runner or has Prefect's default. Workers do the same: a
module that they import has the same flows in it, and a task may call one as a subflow.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from prefect.flows import Flow
from prefect.task_runners import TaskRunner

from flowrun_api.contract import ClusterContract, RedirectPolicy
from prefect_flowrun.runner.options import EngineChoice
from prefect_flowrun.runner.prefect_dask import settings as dask_settings
from prefect_flowrun.runner.prefect_ray import settings as ray_settings
from prefect_flowrun.runner.task_runner import ClusterTaskRunner

# By name: importing prefect_dask to compare classes would cost time, and need not be installed.
_STOCK_RUNNERS = {("prefect_dask", "DaskTaskRunner"): "Dask", ("prefect_ray", "RayTaskRunner"): "Ray"}
_OWN_CLUSTER_ATTRIBUTES = ("address", "_cluster", "cluster_class")


# What workers are told, whose modules have the same flows in them: the policy of this process.
_installed: RedirectPolicy | None = None


def install(clusters: Sequence[ClusterContract], policy: RedirectPolicy, override: EngineChoice | None = None) -> None:
    """Redirect every Flow made from now on in this process.

    Args:
        clusters: of the run; with none, nothing is redirected, unless the engine is overridden.
        policy: which runners are redirected.
        override: engine that FLOWRUN_ENGINE sets for the whole run.
    """
    if policy is not RedirectPolicy.NONE and (clusters or override):
        _wrap(policy, lambda runner, is_default: choose(runner, clusters, policy, override, is_default=is_default))


def installed() -> str | None:
    """Return the policy of this process, for its workers; None if nothing is redirected here."""
    return _installed


def install_on_worker(policy: str, engine: str) -> None:
    """Do the same in a worker's process, whose tasks know its own cluster alone. May be called for each task.

    Args:
        policy: of the driver.
        engine: of the worker's cluster.
    """
    if _installed is not None:
        return
    chosen = RedirectPolicy(policy)

    def choose_own(runner: TaskRunner[Any], is_default: bool) -> TaskRunner[Any]:
        if is_default:
            return ClusterTaskRunner()
        if _is_replaced(runner, chosen) and _stock_engine(runner) == engine:
            return _in_place_of(runner, None)
        return runner

    _wrap(chosen, choose_own)


def _wrap(policy: RedirectPolicy, choose: Callable[[TaskRunner[Any], bool], TaskRunner[Any]]) -> None:
    global _installed  # noqa: PLW0603 - Flow.__init__ is as global
    _installed = policy
    original = Flow.__init__
    signature = inspect.signature(original)

    @functools.wraps(original)
    def redirecting(self: Flow[..., Any], *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        named = signature.bind(self, *args, **kwargs).arguments.get("task_runner")
        self.task_runner = choose(self.task_runner, named is None)

    Flow.__init__ = redirecting  # type: ignore[method-assign]


def choose(
    runner: TaskRunner[Any],
    clusters: Sequence[ClusterContract],
    policy: RedirectPolicy,
    override: EngineChoice | None = None,
    *,
    is_default: bool = False,
) -> TaskRunner[Any]:
    """Return the runner that a flow should use in place of the given one, often the same.

    Args:
        runner: what the flow asks for, or Prefect's default.
        clusters: of the run.
        policy: which runners are redirected.
        override: engine that FLOWRUN_ENGINE sets for the whole run; the new runner reads it again by itself.
        is_default: whether the flow names no runner, so that Prefect has chosen it.
    """
    if policy is RedirectPolicy.NONE or not (clusters or override):
        return runner
    if is_default:
        return ClusterTaskRunner(clusters[0].name if clusters else None)
    if not _is_replaced(runner, policy):
        return runner
    engine = _stock_engine(runner)
    cluster = next((cluster for cluster in clusters if cluster.engine == engine), None)
    if cluster is None and not override:
        return runner
    return _in_place_of(runner, None if override else cluster)


def _is_replaced(runner: TaskRunner[Any], policy: RedirectPolicy) -> bool:
    """Tell whether a runner that a flow has named is replaced, if there is a cluster of its engine."""
    if _stock_engine(runner) is None or policy is RedirectPolicy.DEFAULT_ONLY:
        return False
    return policy is RedirectPolicy.EXPLICIT or not _has_own_cluster(runner)


def _in_place_of(runner: TaskRunner[Any], cluster: ClusterContract | None) -> ClusterTaskRunner:
    name = cluster.name if cluster is not None else None
    if _stock_engine(runner) != "Dask":
        ours = ClusterTaskRunner(name)
        ours.stands_for = ray_settings.translate(runner)
        return ours
    translation = dask_settings.translate(runner, cluster)
    ours = ClusterTaskRunner(name, **translation.options)
    ours.stands_for = translation.stands_for
    return ours


def _stock_engine(runner: TaskRunner[Any]) -> str | None:
    """Name the engine of a stock runner; None for any other runner."""
    package = type(runner).__module__.partition(".")[0]
    return _STOCK_RUNNERS.get((package, type(runner).__name__))


def _has_own_cluster(runner: TaskRunner[Any]) -> bool:
    """Tell whether a stock runner names a cluster, rather than have one started on this machine."""
    if _stock_engine(runner) == "Ray":
        return ray_settings.has_own_cluster(runner)
    return any(getattr(runner, name, None) for name in _OWN_CLUSTER_ATTRIBUTES)
