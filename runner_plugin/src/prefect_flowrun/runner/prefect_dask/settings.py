"""What an unmodified flow has said to prefect-dask's runner, as options of ours and in words about the rest.

Its settings are for a cluster of the runner's own. Nothing of them is dropped in silence (issue 11).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prefect_flowrun.clusters.size import bounds_of
from prefect_flowrun.runner.options import StandsFor

if TYPE_CHECKING:
    from flowrun_api.contract import ClusterContract

_SIZE = "n_workers"
_THREADS = "threads_per_worker"
_LIMITS = ("minimum", "maximum")
# Of `distributed.Client`; prefect-dask adds the default itself.
_DEFAULT_CLIENT = "set_as_default"


@dataclass
class Translation:
    """Options of `ClusterTaskRunner`, and the rest."""

    options: dict[str, Any] = field(default_factory=dict)
    client_kwargs: dict[str, Any] = field(default_factory=dict)
    cluster_kwargs: dict[str, Any] = field(default_factory=dict)
    adapt_kwargs: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def stands_for(self) -> StandsFor:
        """What the new runner is told beside its options."""
        return StandsFor(
            notes=tuple(self.notes),
            client_kwargs=tuple(self.client_kwargs.items()),
            cluster_kwargs=tuple(self.cluster_kwargs.items()),
            adapt_kwargs=tuple(self.adapt_kwargs.items()),
        )


def translate(runner: Any, cluster: ClusterContract | None) -> Translation:
    """Translate the settings of a `DaskTaskRunner`.

    Args:
        runner: prefect-dask's.
        cluster: of the run, in its place; None if FLOWRUN_ENGINE has the last word.
    """
    found = Translation(
        client_kwargs=_given(runner, "client_kwargs"),
        cluster_kwargs=_given(runner, "cluster_kwargs"),
        adapt_kwargs=_given(runner, "adapt_kwargs"),
    )
    if path := getattr(runner, "performance_report_path", None):
        found.options["performance_report_path"] = str(path)
    cluster_kwargs, adapt_kwargs = dict(found.cluster_kwargs), dict(found.adapt_kwargs)
    if cluster is not None:
        _size(found, cluster, cluster_kwargs.pop(_SIZE, None))
        _threads(found, cluster, cluster_kwargs.pop(_THREADS, None))
        _adapt(found, cluster, {name: adapt_kwargs.pop(name, None) for name in _LIMITS})
    _left_out(found, "cluster_kwargs", cluster_kwargs)
    _left_out(found, "adapt_kwargs", adapt_kwargs)
    _client(found)
    for setting in ("address", "cluster_class", "_cluster"):
        if getattr(runner, setting, None):
            found.notes.append(f"DaskTaskRunner({setting.strip('_')}=...) has no effect: {_INSTEAD}")
    return found


_INSTEAD = "tasks go to the run's cluster (spec.redirectTaskRunners is Explicit)"


def _given(runner: Any, setting: str) -> dict[str, Any]:
    return dict(getattr(runner, setting, None) or {})


def _size(found: Translation, cluster: ClusterContract, asked: Any) -> None:
    if not isinstance(asked, int) or asked < 1:
        return
    bounds = bounds_of(cluster)
    given = bounds.clamp(asked)
    if bounds.fewest != bounds.most:
        found.options["workers"] = given
    if given != asked:
        found.notes.append(
            f"DaskTaskRunner(cluster_kwargs={{'{_SIZE}': {asked}}}): the FlowRun gives cluster {cluster.name!r} "
            f"{given} worker(s); its limits are in spec.clusters[].workers"
        )


def _threads(found: Translation, cluster: ClusterContract, asked: Any) -> None:
    if asked is not None and asked != cluster.threads_per_worker:
        found.notes.append(
            f"DaskTaskRunner(cluster_kwargs={{'{_THREADS}': {asked}}}) has no effect: workers of cluster "
            f"{cluster.name!r} run {cluster.threads_per_worker} task(s) at a time (spec.clusters[].workers.threads)"
        )


def _adapt(found: Translation, cluster: ClusterContract, limits: dict[str, Any]) -> None:
    asked = {name: limit for name, limit in limits.items() if isinstance(limit, int)}
    if not asked:
        return
    if not cluster.elastic:
        found.notes.append(
            f"DaskTaskRunner(adapt_kwargs={asked}) has no effect: cluster {cluster.name!r} is not elastic "
            "(spec.clusters[].workers.maxReplicas)"
        )
        return
    bounds = bounds_of(cluster)
    fewest, most = (bounds.clamp(asked[name]) if name in asked else None for name in _LIMITS)
    if fewest is not None and fewest > bounds.fewest:
        found.options["workers"] = max(fewest, found.options.get("workers", 0))
    if most is not None and most < bounds.most:
        found.options["max_workers"] = max(most, found.options.get("workers", 0))
    if any(bounds.clamp(limit) != limit for limit in asked.values()):
        found.notes.append(
            f"DaskTaskRunner(adapt_kwargs={asked}): the FlowRun allows cluster {cluster.name!r} "
            f"{bounds.fewest} to {bounds.most} workers"
        )


def _client(found: Translation) -> None:
    others = sorted(name for name in found.client_kwargs if name != _DEFAULT_CLIENT)
    if others:
        found.notes.append(
            f"DaskTaskRunner(client_kwargs=...): {', '.join(others)} concern get_dask_client() in the flow only"
        )


def _left_out(found: Translation, setting: str, left: dict[str, Any]) -> None:
    # By name: a value may be a secret.
    if left:
        found.notes.append(
            f"DaskTaskRunner({setting}=...) has no effect on the run's cluster: {', '.join(sorted(left))}"
        )
