"""Where a runner's tasks go: pure decision from its options, the environment's override and the run's clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_flowrun.runner import standalone_cluster
from prefect_flowrun.runner.options import EngineChoice, Fallback, RunnerOptions

if TYPE_CHECKING:
    from flowrun_api.contract import ClusterContract


class UnknownClusterError(ValueError):
    """The flow names a cluster that the run does not have."""


@dataclass(frozen=True)
class OnCluster:
    """A cluster of the run."""

    cluster: ClusterContract


@dataclass(frozen=True)
class OnTaskCluster:
    """A standalone TaskCluster."""

    name: str
    engine: EngineChoice


@dataclass(frozen=True)
class OnOwnCluster:
    """The cluster that the calling task runs on."""


@dataclass(frozen=True)
class OnLocalCluster:
    """A cluster on this machine, started for it."""

    engine: EngineChoice


@dataclass(frozen=True)
class InProcess:
    """The flow's own process: threads, or one task after the other."""

    sequential: bool
    reason: str = ""


Target = OnCluster | OnTaskCluster | OnOwnCluster | OnLocalCluster | InProcess


def choose(
    options: RunnerOptions,
    override: EngineChoice | None,
    clusters: Sequence[ClusterContract] | None,
    *,
    on_worker: bool = False,
) -> Target:
    """Choose where tasks go.

    Args:
        options: of the runner.
        override: engine set by the environment.
        clusters: of the run; None outside a FlowRun.
        on_worker: whether a task of a cluster is asking: it knows that one only.

    Raises:
        UnknownClusterError: the run has no cluster of that name or engine.
        RuntimeError: outside a FlowRun, and the runner's fallback is "error".
    """
    engine = override or options.engine
    if engine in (EngineChoice.THREADS, EngineChoice.SEQUENTIAL):
        return InProcess(sequential=engine is EngineChoice.SEQUENTIAL)
    if on_worker:
        return OnOwnCluster()
    if options.cluster is not None and options.cluster.startswith(standalone_cluster.PREFIX):
        return OnTaskCluster(options.cluster, engine or EngineChoice.DASK)
    if clusters is None:
        return _outside(options.fallback, engine)
    if not clusters and engine is None and options.cluster is None:
        return InProcess(sequential=False, reason="This FlowRun has no clusters: tasks run in threads of the driver")
    return OnCluster(_find(clusters, None if override else options.cluster, engine))


def _outside(fallback: Fallback, engine: EngineChoice | None) -> Target:
    if fallback is Fallback.THREADS:
        return InProcess(sequential=False, reason="Not in a FlowRun: tasks run in threads of this process")
    if fallback is Fallback.ERROR:
        raise RuntimeError('This flow does not run in a FlowRun, and its ClusterTaskRunner has fallback="error"')
    return OnLocalCluster(engine or EngineChoice.DASK)


def _find(clusters: Sequence[ClusterContract], name: str | None, engine: EngineChoice | None) -> ClusterContract:
    for cluster in clusters:
        if name in (None, cluster.name) and (engine is None or cluster.engine.lower() == engine):
            return cluster
    wanted = " ".join([*([f"named {name!r}"] if name else []), *([f"with engine {engine}"] if engine else [])])
    known = ", ".join(f"{cluster.name!r} ({cluster.engine})" for cluster in clusters) or "none"
    raise UnknownClusterError(f"This FlowRun has no cluster {wanted}. Its clusters: {known}")
