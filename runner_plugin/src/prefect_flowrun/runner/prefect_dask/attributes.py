"""The face that prefect-dask's helpers know of their own runner, e.g. `get_dask_client` in a flow."""

from __future__ import annotations

import sys
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from prefect_flowrun.runner.prefect_dask.performance_report import PerformanceReport

if TYPE_CHECKING:
    import distributed

    from prefect_flowrun.clusters.waiting_reasons import Logger
    from prefect_flowrun.engines.base import Engine
    from prefect_flowrun.runner.options import RunnerOptions, StandsFor


_NOT_DEFAULT = ("set_as_default", False)
# Others are for the scheduler, ours or a plugin of the user's.
_NO_EFFECT = {"retries": "Prefect retries tasks, @task(retries=...); Dask never sees one fail"}


class DaskRunner:
    """Attributes of `prefect_dask.DaskTaskRunner`, for a runner that stands in its place."""

    options: RunnerOptions
    stands_for: StandsFor
    _report: PerformanceReport | None
    _told: set[str]

    @abstractmethod
    def _run_logger(self) -> Logger:
        """Return the logger of the flow run."""

    @abstractmethod
    def _connected_engine(self) -> Engine | None:
        """Connect if need be; None if tasks run in this process."""

    @property
    def client(self) -> distributed.Client:
        """Dask's client of the cluster; connects at the first use.

        Raises:
            RuntimeError: the flow's tasks do not run on Dask.
        """
        engine = self._connected_engine()
        if engine is None or not hasattr(engine, "client"):
            where = f"on {engine.name}" if engine is not None else "in the flow's process"
            raise RuntimeError(
                f"There is no Dask client here: the tasks of this flow run {where}. Name a cluster of engine Dask: "
                '@flow(task_runner=ClusterTaskRunner(engine="dask"))'
            )
        client: distributed.Client = engine.client
        return client

    @property
    def _client(self) -> distributed.Client:
        # As older versions of prefect-dask call it.
        return self.client

    @property
    def client_kwargs(self) -> dict[str, Any]:
        """What a client of the flow's own begins with; a new dict each time, since prefect-dask writes into it.

        Without the `set_as_default=False` that prefect-dask adds to its runner's: collections compute on the cluster
        while such a client is open.
        """
        return {name: value for name, value in self.stands_for.client_kwargs if (name, value) != _NOT_DEFAULT}

    @property
    def cluster_kwargs(self) -> dict[str, Any]:
        """What the flow had said of a cluster of its own."""
        return dict(self.stands_for.cluster_kwargs)

    @property
    def adapt_kwargs(self) -> dict[str, Any]:
        """What the flow had said of that cluster's limits."""
        return dict(self.stands_for.adapt_kwargs)

    def _heed_dask_settings(self) -> None:
        """Begin the performance report that the flow asks for, and make the client Dask's default if it wants that."""
        path = self.options.performance_report_path
        engine = self._connected_engine()
        on_dask = engine is not None and engine.name == "Dask"
        if path and on_dask:
            try:
                self._report = PerformanceReport(self.client, path, self._run_logger())
            except Exception as error:  # tasks run without one, too
                self._run_logger().warning("There will be no performance report: %s", error)
        elif path:
            self._run_logger().warning("performance_report_path has no effect: only Dask makes such a report")
        if on_dask and dict(self.stands_for.client_kwargs).get("set_as_default"):
            make_default(self.client)

    def _heed_annotations(self) -> None:
        """Say in the flow run's log, once, which of the annotations around a submit have no effect."""
        dask = sys.modules.get("dask")
        if dask is None or not (around := dask.get_annotations()):
            return
        engine = self._connected_engine()
        on_dask = engine is not None and engine.name == "Dask"
        for name in around:
            reason = _NO_EFFECT.get(name) if on_dask else "the task does not run on Dask; see needs()"
            if reason and name not in self._told:
                self._told.add(name)
                self._run_logger().warning("dask.annotate(%s=...) has no effect: %s", name, reason)


def make_default(client: distributed.Client) -> None:
    """Have Dask's collections compute on a client's cluster, in all threads, until the client is closed.

    Args:
        client: connected.
    """
    from distributed import client as module  # noqa: PLC0415 - with another engine it need not be there

    # Client(set_as_default=True) does this; for a client that is there already distributed has no public name.
    if (set_global := getattr(module, "_set_global_client", None)) is not None:
        set_global(client)
