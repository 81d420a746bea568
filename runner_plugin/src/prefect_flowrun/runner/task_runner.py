"""`ClusterTaskRunner`: Prefect tasks on the clusters of a FlowRun."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import prefect
from prefect.exceptions import MissingContextError
from prefect.futures import PrefectFuture, PrefectFutureList
from prefect.logging import get_run_logger
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flowrun_api.contract import clusters_from_env
from prefect_flowrun import startup_timeline
from prefect_flowrun.runner import connections, standalone_cluster
from prefect_flowrun.runner.options import RunnerOptions, StandsFor, engine_override
from prefect_flowrun.runner.options import all_events as all_events_wanted
from prefect_flowrun.runner.placement import (
    InProcess,
    OnCluster,
    OnLocalCluster,
    OnOwnCluster,
    OnTaskCluster,
    UnknownClusterError,
    choose,
)
from prefect_flowrun.runner.prefect_dask.attributes import DaskRunner
from prefect_flowrun.runner.prefect_dask.performance_report import PerformanceReport
from prefect_flowrun.runner.progress import Counter, Progress, of_this_process
from prefect_flowrun.runner.sequential import SequentialTaskRunner
from prefect_flowrun.runner.submission import Session
from prefect_flowrun.runner.thread_pool import PatientThreadPool, cancel_threads, failed
from prefect_flowrun.wire import versions
from prefect_flowrun.wire.large_parameters import LargeValues
from prefect_flowrun.worker import own_cluster
from prefect_flowrun.worker.log_prints import share_prints

if TYPE_CHECKING:
    from prefect.client.schemas.objects import RunInput
    from prefect.tasks import Task

    from flowrun_api.contract import ClusterContract
    from prefect_flowrun.clusters.waiting_reasons import Logger
    from prefect_flowrun.engines.base import Engine

__all__ = ["ClusterTaskRunner", "UnknownClusterError"]

# A laptop's cluster is up in a second or two; that of a FlowRun says itself how long it may take.
LOCAL_CONNECT_TIMEOUT_S = 60.0
_SECRETS = ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING")


class ClusterTaskRunner(DaskRunner, TaskRunner[PrefectFuture[Any]]):
    """Run tasks on a cluster of the FlowRun.

    In a FlowRun without clusters tasks run in threads of the driver; outside a FlowRun on a cluster on this machine,
    started at the first submit and stopped when the flow ends. So one file serves all three.

    Unlike the stock runners it waits, when a flow ends well, for tasks that the flow itself did not wait for; they
    would otherwise be dropped silently. When the flow ends badly they are cancelled.
    """

    def __init__(
        self,
        cluster: str | None = None,
        *,
        engine: str | None = None,
        fallback: str = "local",
        address: str | None = None,
        workers: int | None = None,
        min_workers: int = 0,
        connect_timeout_s: float | None = None,
        exit_timeout_s: float | None = None,
        lost_task_retries: int | None = None,
        max_workers: int | None = None,
        performance_report_path: str | None = None,
        all_events: bool | None = None,
    ) -> None:
        """Choose where tasks run; nothing is connected before the first submit.

        Args:
            cluster: name of a cluster of the FlowRun; None means its first one, of `engine` if that is given.
            engine: "dask", "ray", "threads" (of the flow's process) or "sequential" (a submit runs the task at once).
                The environment variable FLOWRUN_ENGINE overrides it.
            fallback: outside a FlowRun: "local" (a cluster of `engine`, by default Dask, on this machine), "threads",
                or "error".
            address: HOST:PORT of a standalone TaskCluster, which `cluster="taskcluster/NAME"` names; None means its
                Service, or what the environment variable FLOWRUN_TASKCLUSTER_ADDRESS says (a port-forward).
            workers: size of the cluster while this runner uses it, within the bounds that the FlowRun sets. A cluster
                on demand starts with so many.
            min_workers: wait for so many before the first task.
            connect_timeout_s: longest wait for the cluster and its workers, in seconds; None means as long as the
                FlowRun gives its clusters to start.
            exit_timeout_s: longest wait, in seconds, for tasks that the flow did not wait for; None waits without
                limit.
            lost_task_retries: how often a task that was running on a lost worker is run again; None means as often as
                the task's own `retries`.
            max_workers: bound of an elastic cluster, below the one that the FlowRun sets, for as long as this
                connection to it lasts.
            performance_report_path: where Dask's performance report is written when the flow ends; an artifact in
                Prefect keeps it, since the disk of a driver goes with it. Needs bokeh. Not on Ray.
            all_events: whether Prefect gets an event for each state of a task run. By default it gets none of Pending
                and Running if a task run ends within 0.1 s; the environment variable FLOWRUN_ALL_EVENTS=1 changes the
                default.

        Raises:
            ValueError: an option is none of these.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.options = RunnerOptions.model_validate(
            {
                "cluster": cluster,
                "engine": engine.lower() if isinstance(engine, str) else engine,
                "fallback": fallback,
                "address": address,
                "workers": workers,
                "min_workers": min_workers,
                "connect_timeout_s": connect_timeout_s,
                "exit_timeout_s": exit_timeout_s,
                "lost_task_retries": lost_task_retries,
                "max_workers": max_workers,
                "performance_report_path": performance_report_path,
                "all_events": all_events,
            }
        )
        # Set when it takes the place of another runner.
        self.stands_for = StandsFor()
        self._begin()

    def _begin(self) -> None:
        """Begin with nothing connected."""
        # Prefect enters a duplicate of the flow's runner but calls cancel_all() on the original, so they share this.
        self._family: weakref.WeakValueDictionary[int, ClusterTaskRunner] = weakref.WeakValueDictionary(
            {id(self): self}
        )
        self._counter = Counter(of_this_process)
        self._lock = threading.RLock()
        self._session: Session | None = None
        self._connection: connections.Connection | None = None
        self._in_process: TaskRunner[Any] | None = None
        self._large = LargeValues()
        self._report: PerformanceReport | None = None
        self._told: set[str] = set()
        self._started = False
        # Sessions on clusters that the flow has left since.
        self._left: list[Session] = []

    @property
    def name(self) -> str:
        """Name of the runner in Prefect's logs."""
        return "cluster"

    @property
    def cluster(self) -> str | None:
        """Name of the cluster that was asked for."""
        return self.options.cluster

    @property
    def progress(self) -> Progress:
        """How far the tasks submitted through this runner and its duplicates have come, those in this process aside."""
        return self._counter.progress

    def duplicate(self) -> Self:
        """Return a runner with the same settings; Prefect enters a fresh one for every flow run."""
        twin = self.for_task()
        twin._family = self._family  # keyed by identity, since equal runners are not the same runner
        self._family[id(twin)] = twin
        twin._counter = self._counter
        return twin

    def for_task(self) -> Self:
        """Return a runner with the same settings and nothing in common: for the tasks that a task submits."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._begin()
        return twin

    @property
    def in_use(self) -> bool:
        """Whether anything was submitted."""
        return self._session is not None or self._in_process is not None

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, ClusterTaskRunner) and other.options == self.options

    def __hash__(self) -> int:
        return hash((type(self), self.options))

    def __getstate__(self) -> dict[str, Any]:
        """Travel with the settings alone: on a worker it connects anew, if a task there submits others."""
        return {"options": self.options, "stands_for": StandsFor()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        vars(self).update(state)
        self._begin()

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
            RuntimeError: the runner is not started, i.e. there is no flow around the call; or it may not run outside a
                FlowRun.
            UnknownClusterError: the run has no cluster of this name or engine.
            NotReachableError: a standalone cluster can't be reached from here; the message says how it could.
            BoundsError: the FlowRun does not allow the cluster so many `workers`.
            ClusterStartupError: the cluster did not start in time, or can't be started.
            TimeoutError: its `min_workers` did not join in time.
        """
        if not self._started:
            raise RuntimeError("The task runner must be started before submitting work.")
        startup_timeline.mark("first submit called")
        self._connect()
        startup_timeline.mark("cluster connected")
        self._heed_annotations()
        if self._in_process is not None:
            future: PrefectFuture[Any] = self._in_process.submit(task, parameters, wait_for, dependencies)
            return future
        assert self._session is not None  # noqa: S101 - _connect() gives one or the other
        return self._session.submit(task, parameters, wait_for, dependencies)

    def map(
        self, task: Task[..., Any], parameters: dict[str, Any], wait_for: Iterable[PrefectFuture[Any]] | None = None
    ) -> PrefectFutureList[PrefectFuture[Any]]:
        """Start a task for each element of its iterable parameters.

        Args:
            task: the task.
            parameters: of the call; what is `unmapped` goes to every task, and reaches the cluster once.
            wait_for: futures that every task waits for.

        Raises:
            prefect.exceptions.MappingMissingIterable: no parameter is iterable.
            prefect.exceptions.MappingLengthMismatch: the iterables have different lengths.
        """
        with self._large.unchanging():
            return super().map(task, parameters, wait_for)

    def cancel_all(self) -> None:
        """Cancel the outstanding tasks of every live duplicate."""
        for runner in list(self._family.values()):
            if runner._session is not None:
                runner._session.cancel()
            if isinstance(runner._in_process, ThreadPoolTaskRunner):
                cancel_threads(runner._in_process)

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        """Wait for the outstanding tasks, or cancel them if the flow ended with an error."""
        session, self._session = self._session, None
        left, self._left = self._left, []
        in_process, self._in_process = self._in_process, None
        connection, self._connection = self._connection, None
        report, self._report = self._report, None
        # SIGTERM ends the process; Ctrl-C and errors of Prefect's do not end that of a notebook.
        hurried = exc_type is not None and not issubclass(exc_type, (Exception, KeyboardInterrupt))
        try:
            for earlier in left:
                earlier.close(hurried=hurried)
            if session is not None:
                orderly = exc_type is None and not failed(session.flow_run)
                self._leave(session, report, orderly=orderly, hurried=hurried)
        finally:
            if exc_type is not None and isinstance(in_process, ThreadPoolTaskRunner):
                cancel_threads(in_process)
            elif in_process is not None:
                in_process.__exit__(exc_type, exc_value, traceback)
            if connection is not None and not (hurried and connection.ends_with_process):
                connections.release(connection)
            super().__exit__(exc_type, exc_value, traceback)

    def _leave(self, session: Session, report: Any, *, orderly: bool, hurried: bool) -> None:
        try:
            if orderly:
                session.wait(self.options.exit_timeout_s)
            else:
                session.cancel()
            if report is not None and not hurried:
                session.in_flow_context(report.finish)
        except BaseException as error:  # Ctrl-C or a SIGTERM while it waits
            hurried = hurried or not isinstance(error, (Exception, KeyboardInterrupt))
            session.cancel()
            raise
        finally:
            session.close(hurried=hurried)

    def _connect(self) -> None:
        """Connect at the first submit: workers enter a runner for each task, and most tasks submit nothing."""
        with self._lock:
            if self._session is not None and self._connection is not None and self._connection.engine.closed:
                self._leave_closed(self._session, self._connection)
            if self._session is not None or self._in_process is not None:
                return
            join = own_cluster.joining.get()
            target = choose(self.options, engine_override(), clusters_from_env(os.environ), on_worker=join is not None)
            if isinstance(target, InProcess):
                self._start_in_process(target)
                return
            if isinstance(target, OnOwnCluster):
                assert join is not None  # noqa: S101 - or it would not be the target
                self._session = self._open_nested_session(join)
                return
            if warning := versions.outside_tested_range(prefect.__version__):
                self.logger.warning(warning)
            self._session = self._open_session(target)
            self._heed_dask_settings()

    def _leave_closed(self, session: Session, connection: connections.Connection) -> None:
        """Part with a connection that the flow has closed (`ray.shutdown()`): the submit after that finds a new one."""
        self._left.append(session)
        self._session = self._connection = None
        connections.release(connection)

    def _start_in_process(self, target: InProcess) -> None:
        if target.reason:
            self.logger.info(target.reason)
        runner: TaskRunner[Any]
        if target.sequential:
            runner = SequentialTaskRunner()  # type: ignore[no-untyped-call]
        else:
            share_prints()
            runner = PatientThreadPool(self.options.exit_timeout_s, self._run_logger())
        self._in_process = runner.__enter__()

    def _open_session(self, target: OnCluster | OnTaskCluster | OnLocalCluster) -> Session:
        for note in self.stands_for.notes:
            self._run_logger().warning(note)
        if isinstance(target, OnLocalCluster):
            self.logger.info("Not in a FlowRun: using a %s cluster on this machine", target.engine.capitalize())
            connection = self._connection = connections.acquire_local(target.engine)
            timeout = self.options.connect_timeout_s or LOCAL_CONNECT_TIMEOUT_S
        else:
            cluster = self._contract(target)
            connection = self._connection = connections.acquire_cluster(
                cluster, self._run_logger(), self.options.workers
            )
            timeout = cluster.startup_timeout_seconds
        self._wait_for_workers(connection, timeout)
        # The operator has given the workers of a FlowRun their own.
        return self._session_on(connection, with_secrets=isinstance(target, OnLocalCluster))

    def _open_nested_session(self, join: own_cluster.Join) -> Session:
        connection = self._connection = connections.acquire_own(join)
        # What the workers have of their own need not travel.
        with_secrets = not any(os.environ.get(name) for name in _SECRETS)
        return self._session_on(connection, with_secrets=with_secrets, nested=True)

    def _session_on(self, connection: connections.Connection, *, with_secrets: bool, nested: bool = False) -> Session:
        return Session(
            connection,
            self._large,
            self._run_logger(),
            self._counter,
            lost_task_retries=self.options.lost_task_retries,
            all_events=all_events_wanted(self.options.all_events),
            needs=self.stands_for.needs,
            with_secrets=with_secrets,
            nested=nested,
        )

    def _connected_engine(self) -> Engine | None:
        self._connect()
        return self._connection.engine if self._connection is not None else None

    def _contract(self, target: OnCluster | OnTaskCluster) -> ClusterContract:
        if isinstance(target, OnTaskCluster):
            name, engine = target.name, target.engine.capitalize()
            cluster = standalone_cluster.contract(name, engine, self.options.address, os.environ)
        else:
            cluster = target.cluster
        update: dict[str, Any] = {}
        if self.options.connect_timeout_s is not None:
            update["startup_timeout_seconds"] = max(1, round(self.options.connect_timeout_s))
        if self.options.max_workers is not None and cluster.elastic:
            update["max_workers"] = min(self.options.max_workers, cluster.max_workers)
            update["min_workers"] = min(self.options.max_workers, cluster.min_workers)
        return cluster.model_copy(update=update)

    def _run_logger(self) -> Logger:
        """Return the flow run's logger: a user who waits for a cluster looks there."""
        try:
            return get_run_logger()
        except MissingContextError:
            return self.logger

    def _wait_for_workers(self, connection: connections.Connection, timeout: float) -> None:
        if not (wanted := self.options.min_workers):
            return
        there = connection.engine.wait_for_workers(wanted, timeout)
        if there < wanted:
            raise TimeoutError(f"Only {there} of {wanted} workers (min_workers) joined within {timeout:g} s")
        mine = versions.collect(connection.engine.package)
        for node, theirs in connection.engine.versions(timeout).items():
            versions.check(mine, theirs, node)
