"""`ClusterTaskRunner`: Prefect tasks on the clusters of a FlowRun."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from pickle import PicklingError
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from prefect_flowrun import connections, payload, timeline
from prefect_flowrun.code import FlowModules, flow_roots
from prefect_flowrun.contract import ClusterContract, clusters_from_env
from prefect_flowrun.entry import run_task
from prefect_flowrun.futures import ClusterFuture

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun, RunInput
    from prefect.tasks import Task

    from prefect_flowrun.engines.base import Engine, EngineFuture

    Packed = tuple[bytes, list[EngineFuture]]

DRAIN_TIMEOUT_S = 10.0


class UnknownClusterError(ValueError):
    """The flow names a cluster that the run does not have."""


class ClusterTaskRunner(TaskRunner[PrefectFuture[Any]]):
    """Run tasks on a cluster of the FlowRun.

    In a FlowRun without clusters tasks run in threads of the driver; outside a FlowRun on a Dask cluster on this
    machine, started at the first submit and stopped when the flow ends. So one file serves all three.

    Unlike the stock runners it waits, when a flow ends well, for tasks that the flow itself did not wait for; they
    would otherwise be dropped silently. When the flow ends badly they are cancelled.
    """

    def __init__(self, cluster: str | None = None) -> None:
        """Choose the cluster; nothing is connected before the first submit.

        Args:
            cluster: name of a cluster of the FlowRun; None means its first one.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.cluster = cluster
        # Prefect enters a duplicate of the flow's runner but calls cancel_all() on the original, so they share this.
        self._family: weakref.WeakValueDictionary[int, ClusterTaskRunner] = weakref.WeakValueDictionary(
            {id(self): self}
        )
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._is_local = False
        self._threads: ThreadPoolTaskRunner[Any] | None = None
        # Dask forgets a task when the last future of it goes: held until done, or a flow that drops them loses them.
        self._outstanding: dict[UUID, EngineFuture] = {}
        # The flow run that submits here: Prefect handles a flow's error before it leaves the runner, so `__exit__` sees
        # none and has to look at the state.
        self._flow_run: FlowRun | None = None

    @property
    def name(self) -> str:
        """Name of the runner in Prefect's logs."""
        return "cluster"

    def duplicate(self) -> Self:
        """Return a runner with the same settings; Prefect enters a fresh one for every flow run."""
        twin = type(self)(self.cluster)
        twin._family = self._family  # keyed by identity, since equal runners are not the same runner
        self._family[id(twin)] = twin
        return twin

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, ClusterTaskRunner) and other.cluster == self.cluster

    def __hash__(self) -> int:
        return hash((type(self), self.cluster))

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as a stock thread pool.

        The runner is part of the flow, which every task carries along: workers would enter (and connect) it once per
        task.
        """
        return (ThreadPoolTaskRunner, ())

    def submit(
        self,
        task: Task[..., Any],
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[RunInput]] | None = None,
    ) -> PrefectFuture[Any]:
        """Start a task on the cluster.

        Args:
            task: the task.
            parameters: of the call; futures in them are waited for.
            wait_for: further futures to wait for.
            dependencies: inputs that the caller has found, by parameter.

        Raises:
            RuntimeError: the runner is not started, i.e. there is no flow around the call.
            UnknownClusterError: the run has no cluster of this name.
            TimeoutError: the cluster's coordinator did not start in time.
        """
        if not self._started:
            raise RuntimeError("The task runner must be started before submitting work.")
        timeline.mark("first submit called")
        engine = self._connect()
        timeline.mark("cluster connected")
        if engine is None:
            assert self._threads is not None  # noqa: S101 - _connect() gives one or the other
            return self._threads.submit(task, parameters, wait_for, dependencies)
        task_run_id = uuid4()
        pack = partial(payload.pack, engine, task, task_run_id, parameters, wait_for, dependencies)
        packed, upstream = self._pack(pack)
        timeline.mark("first task packed")
        engine_future = engine.submit(f"{task.name}-{task_run_id}", run_task, packed, upstream)
        timeline.mark("first task submitted")
        self._hold(task_run_id, engine_future)
        return ClusterFuture(task_run_id, engine_future, engine)

    def cancel_all(self) -> None:
        """Cancel the outstanding tasks of every live duplicate."""
        for runner in list(self._family.values()):
            runner._cancel()

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        """Wait for the outstanding tasks, or cancel them if the flow ended with an error."""
        try:
            if exc_type is None and not self._flow_failed():
                self._wait()
            else:
                self._cancel()
            # What comes through as an exception ends the process (SIGTERM): no time then for the workers' queues.
            if self._engine is not None and exc_type is None:
                self._engine.drain(DRAIN_TIMEOUT_S)
        finally:
            threads, self._threads = self._threads, None
            if threads is not None:
                threads.__exit__(exc_type, exc_value, traceback)
            self._engine = None
            if self._is_local:
                self._is_local = False
                connections.release_local()
            super().__exit__(exc_type, exc_value, traceback)

    def _connect(self) -> Engine | None:
        """Connect at the first submit: workers enter runners too, and must not connect (see `__reduce__`)."""
        with self._lock:
            if self._engine is None and self._threads is None:
                clusters = clusters_from_env(os.environ)
                if clusters is None:
                    self.logger.info("Not in a FlowRun: starting a Dask cluster on this machine")
                    self._engine = connections.acquire_local()
                    self._is_local = True
                elif not clusters and self.cluster is None:
                    self.logger.info("This FlowRun has no clusters: tasks run in threads of the driver")
                    self._threads = ThreadPoolTaskRunner()
                    self._threads.__enter__()
                else:
                    self._engine = connections.acquire_cluster(_choose(clusters, self.cluster))
            return self._engine

    def _pack(self, pack: Callable[[], Packed]) -> Packed:
        """Pickle with the flow's own modules by value; by reference if something in them can't be pickled."""
        modules = _flow_modules()
        modules.register()
        try:
            return pack()
        # A lock or a connection at module level, say. cloudpickle raises TypeError for most, by no rule.
        except (TypeError, PicklingError, AttributeError) as error:
            if not modules.withdraw():
                raise
            packed = pack()
            self.logger.warning("The flow's own modules must be installed on the workers; they can't travel: %s", error)
            return packed

    def _hold(self, task_run_id: UUID, future: EngineFuture) -> None:
        self._outstanding[task_run_id] = future
        future.add_done_callback(lambda _: self._outstanding.pop(task_run_id, None))
        if self._flow_run is None and (context := FlowRunContext.get()) is not None:
            self._flow_run = context.flow_run

    def _flow_failed(self) -> bool:
        state = self._flow_run.state if self._flow_run is not None else None
        return state is not None and (state.is_failed() or state.is_crashed() or state.is_cancelled())

    def _wait(self) -> None:
        futures = list(self._outstanding.values())
        if self._engine is None or not futures:
            return
        self.logger.info("Waiting for %d task run(s) that the flow did not wait for", len(futures))
        self._engine.wait(futures, timeout=None)

    def _cancel(self) -> None:
        futures = list(self._outstanding.values())
        if self._threads is not None:
            self._threads.cancel_all()
        if self._engine is None or not futures:
            return
        self.logger.info("Cancelling %d outstanding task run(s)", len(futures))
        self._engine.cancel(futures)
        self._outstanding.clear()


_modules: FlowModules | None = None
_modules_lock = threading.Lock()


def _flow_modules() -> FlowModules:
    global _modules  # noqa: PLW0603 - one per process, like sys.modules itself
    with _modules_lock:
        if _modules is None:
            _modules = FlowModules(flow_roots(os.environ.get("FLOWRUN_ENTRYPOINT", "")))
        return _modules


def _choose(clusters: tuple[ClusterContract, ...], name: str | None) -> ClusterContract:
    if name is None:
        return clusters[0]
    for cluster in clusters:
        if cluster.name == name:
            return cluster
    known = ", ".join(repr(cluster.name) for cluster in clusters) or "none"
    raise UnknownClusterError(f"This FlowRun has no cluster named {name!r}. Its clusters: {known}")
