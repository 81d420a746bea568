"""The Ray engine: this process as a driver of one Ray cluster, behind the engine Protocol.

Ray allows one connection per process. A second Ray cluster of a run can be used once the connection to the first is
closed.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import ray
from ray import exceptions as errors

from prefect_flowrun.engines.base import Call, EngineFuture
from prefect_flowrun.engines.ray import calls, connection, drain_sockets, entry, losses, pending_tasks, task_options
from prefect_flowrun.engines.ray.on_nodes import run_on_nodes
from prefect_flowrun.engines.ray.pending_tasks import NoNodeError
from prefect_flowrun.wire.outcomes import Brief, PackedState, opened

if TYPE_CHECKING:
    from flowrun_api.contract import ClusterContract
    from prefect_flowrun.engines.needs import Needs
    from prefect_flowrun.wire.versions import Versions

logger = logging.getLogger(__name__)

POLL_S = 0.02
SMALL_BYTES = 16 * 2**10
# How the last tasks have ended, whose futures may have gone: 300 bytes each.
KEPT_BRIEFS = 20_000
LOCAL_PATIENCE_S = 60.0
# Of tasks that tasks submit: the default start-up time of a FlowRun.
WORKER_PATIENCE_S = 900.0
_KEPT_VARIANTS = 256
# Starts in which a process may end before the worker's side has its say, because of the size of what comes with the
# task: beyond those that the policy allows, and the one in which it says no.
_UNTOLD_STARTS = 4
# Task ids at the end of a call's key.
_ID_LENGTH = len("-00000000-0000-0000-0000-000000000000")


class RayFuture:
    """Two object references: one that is small and ends with the task, and the task's outcome."""

    __slots__ = ("__weakref__", "_end", "_engine", "_given_up", "_small", "key", "node", "outcome")

    def __init__(self, engine: RayEngine, key: str, outcome: ray.ObjectRef, end: ray.ObjectRef) -> None:
        self._engine = engine
        self.key = key
        self._end: concurrent.futures.Future[entry.End] = end.future()
        self._given_up: BaseException | None = None
        self._small = False
        self.outcome: ray.ObjectRef | None = outcome
        self.node: ray.ObjectRef | None = end if engine.on_worker else None
        """The small reference, for those who wait in a task."""

    def wait(self, timeout: float | None = None) -> bool:
        """See `EngineFuture.wait`."""
        return self._engine.wait([self], timeout) == 0

    def result(self) -> Any:
        """See `EngineFuture.result`."""
        self._engine.check_open()
        outcome = ray.get(self.outcome)
        self._small = isinstance(outcome, PackedState) and outcome.small(SMALL_BYTES) is not None
        return opened(outcome)

    def let_go(self) -> bool:
        """See `EngineFuture.let_go`."""
        if self._small:
            self.outcome = None
        return self._small

    def done(self) -> bool:
        """See `EngineFuture.done`."""
        return self._end.done()

    def failure(self) -> BaseException | None:
        """See `EngineFuture.failure`."""
        error = self._end.exception()
        return error and (self._given_up or error)

    def given_up(self) -> str | None:
        """See `EngineFuture.given_up`."""
        return None if self._end.exception() else self._end.result().given_up

    def add_done_callback(self, fn: Callable[[], Any]) -> None:
        """See `EngineFuture.add_done_callback`."""
        self._end.add_done_callback(lambda _: self._engine.call_soon(fn))

    @property
    def end(self) -> concurrent.futures.Future[entry.End]:
        """Ends with the task."""
        return self._end

    def keep_end(self, end: concurrent.futures.Future[entry.End]) -> None:
        """Hold another future that has ended alike.

        Args:
            end: shared by all tasks of a node: Ray's own, with its lock and its reference, takes 2 KB for each task, as
                long as the flow holds its future.
        """
        self._end = end
        self.node = None

    def give_up(self, error: BaseException) -> None:
        """Let the task fail if it has not ended.

        Args:
            error: why.
        """
        self._given_up = error
        if self.outcome is not None:
            ray.cancel(self.outcome, force=False)

    def abandon(self) -> None:
        """Let those who wait go: the cluster has been left."""
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            self._end.set_exception(ConnectionError("The Ray cluster was left before the task had ended"))


class Parcel:
    """Bytes in the object store of this process's node. Gone from there when nobody here holds this any more."""

    __slots__ = ("__weakref__", "reference")

    def __init__(self, reference: ray.ObjectRef) -> None:
        self.reference = reference


class RayEngine:
    """Tasks on a Ray cluster."""

    name = "Ray"
    package = "ray"

    def __init__(
        self,
        *,
        patience_s: float,
        owned: bool,
        workers_per_node: Callable[[dict[str, Any]], int] = lambda _: 1,
        run_task: Callable[..., tuple[Any, entry.End]] = entry.run_task,
        on_worker: bool = False,
    ) -> None:
        """Take the connection of this process.

        Args:
            patience_s: how long a task may find no worker that could take it.
            owned: whether to leave Ray at the end; not if somebody else has connected.
            workers_per_node: how many workers a node counts for.
            run_task: what a worker runs for each task.
            on_worker: whether this process is a worker, and those who wait are its tasks.
        """
        self.on_worker = on_worker
        self._owned = owned
        self._closed = False
        self._connection = connection.number()
        calls.users.add(self)
        self._workers_per_node = workers_per_node
        self._startup_failure: str | None = None
        self._watch = pending_tasks.Watch(patience_s, self._give_up)
        # One remote function: Ray sends each to the cluster anew, and leases workers per kind of task.
        self._entry = run_task
        self._run_task = _remote(run_task)
        # Its options are kept, since making them costs more than a submit.
        self._variant = lru_cache(_KEPT_VARIANTS)(self._make_variant)
        self._nodes_used: set[str] = set()
        self._briefs: OrderedDict[str, Brief] = OrderedDict()
        self._callbacks: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._call_back, name="flowrun-ray-callbacks", daemon=True).start()

    @property
    def startup_failure(self) -> str | None:
        """See `Engine.startup_failure`."""
        return self._startup_failure

    @classmethod
    def connect(cls, cluster: ClusterContract) -> RayEngine:
        """Connect to the head that the driver started.

        Args:
            cluster: the cluster as the operator describes it.

        Raises:
            TimeoutError: the head was not ready within the start-up time.
            RuntimeError: this process is connected to another Ray cluster.
        """
        address = connection.host_and_port(cluster.address)
        attached = ray.is_initialized()
        if attached:
            connection.refuse_other_cluster(cluster.name, cluster.port)
        else:
            connection.wait_for_head(cluster.name, address, cluster.startup_timeout_seconds)
            connection.join(cluster.name, address)
        return cls(patience_s=cluster.startup_timeout_seconds, owned=not attached)

    @classmethod
    def start_local(cls) -> RayEngine:
        """Start Ray on this machine, for a flow that runs outside a FlowRun; or use the one that the flow started."""
        attached = ray.is_initialized()
        if not attached:
            connection.start_local()
        # What a pod is on a cluster, a process is here.
        return cls(patience_s=LOCAL_PATIENCE_S, owned=not attached, workers_per_node=lambda node: int(_cpus(node)))

    @classmethod
    def of_worker(cls) -> RayEngine:
        """Use the connection that each process of a Ray worker has."""
        return cls(patience_s=WORKER_PATIENCE_S, owned=False, on_worker=True)

    def put(self, data: bytes) -> Parcel:
        """See `Engine.put`."""
        self.check_open()
        with _reachable(f"take {len(data)} bytes"):
            return Parcel(ray.put(data))

    def holds(self, parcel: Parcel) -> bool:
        """See `Engine.holds`: they are in this process's own node."""
        return not self._closed

    def submit(self, call: Call) -> RayFuture:
        """See `Engine.submit`."""
        self.check_open()
        remote, demand = self._variant(call.key[:-_ID_LENGTH], call.needs, call.lost_task_retries)
        upstream = [future.outcome for future in call.upstream if isinstance(future, RayFuture)]
        parcels = [parcel.reference for parcel in call.parcels]
        with _reachable("take a task"):
            future = RayFuture(self, call.key, *remote.remote(call.payload, parcels, *upstream))
        self._watch.add(future, demand)
        future.end.add_done_callback(lambda end: self._ended(future, end))
        return future

    def wait(self, futures: Sequence[EngineFuture], timeout: float | None) -> int:
        """See `Engine.wait`."""
        pending = [future for future in futures if isinstance(future, RayFuture) and not future.done()]
        if self.on_worker and threading.current_thread() is threading.main_thread():
            # Ray gives the task's CPUs to others while it waits here, and nowhere else.
            nodes = [future.node for future in pending if future.node is not None]
            if nodes and len(ray.wait(nodes, num_returns=len(nodes), timeout=timeout, fetch_local=False)[1]) == 0:
                timeout = None  # they have ended; Ray tells the futures in a thread of its own
        return len(concurrent.futures.wait([future.end for future in pending], timeout).not_done)

    def cancel(self, futures: Sequence[EngineFuture]) -> None:
        """See `Engine.cancel`."""
        if self.closed:
            return
        # Last in, first out: no task that ends meanwhile makes room for one that is still to be cancelled.
        for future in reversed(futures):
            if isinstance(future, RayFuture) and not future.done():
                with contextlib.suppress(errors.RayError, RuntimeError):
                    ray.cancel(future.outcome, force=False)

    def wait_for_workers(self, count: int, timeout: float) -> int:
        """See `Engine.wait_for_workers`."""
        deadline = time.monotonic() + timeout
        while True:
            there = sum(self._workers_per_node(node) for node in pending_tasks.alive())
            if there >= count or time.monotonic() > deadline:
                return there
            time.sleep(POLL_S)

    def versions(self, timeout: float) -> dict[str, Versions]:
        """See `Engine.versions`."""
        names = {
            node["NodeID"]: entry.node_name(node["NodeManagerHostname"], node["NodeID"])
            for node in pending_tasks.alive()
        }
        answers = run_on_nodes(names, timeout, entry.node_versions)
        return {names[node_id]: answer for node_id, answer in answers.items()}

    def give_way(self, future: EngineFuture) -> None:
        """See `Engine.give_way`. A task cannot give up its CPUs without waiting, so here it waits."""
        if self.on_worker:
            self.wait([future], None)

    def drain(self, timeout: float) -> set[str]:
        """See `Engine.drain`."""
        if self.closed:
            return set()
        # All that have run tasks and are there, which need not have CPUs; and those that may be at their first one.
        nodes = self._nodes_used & pending_tasks.alive_ids()
        if self._watch.any_pending():
            nodes |= {node["NodeID"] for node in pending_tasks.alive() if _cpus(node)}
        answers = run_on_nodes(nodes, timeout, drain_sockets.drain_node, timeout)
        return {run for runs in answers.values() for run in runs}

    def briefs(self, keys: Collection[str]) -> dict[str, Brief]:
        """See `Engine.briefs`."""
        return {key: brief for key in keys if (brief := self._briefs.get(key)) is not None}

    def sizes(self, futures: Sequence[EngineFuture]) -> list[int | None]:
        """See `Engine.sizes`."""
        outcomes = [future.outcome if isinstance(future, RayFuture) else None for future in futures]
        known: dict[Any, Any] = {}
        with contextlib.suppress(errors.RayError, RuntimeError, AttributeError):
            known = ray.experimental.get_object_locations([outcome for outcome in outcomes if outcome is not None])
        return [known.get(outcome, {}).get("object_size") if outcome is not None else None for outcome in outcomes]

    def describe_loss(self, error: BaseException) -> str:
        """See `Engine.describe_loss`."""
        return losses.describe(error)

    def close(self) -> None:
        """See `Engine.close`."""
        if self._closed:
            return
        left = self.closed
        self._closed = True
        if self._owned and not left:
            connection.leave()
        if self._owned or left:
            for future in self._watch.remove_all():
                future.abandon()
        self._callbacks.put(None)

    @property
    def closed(self) -> bool:
        """See `Engine.closed`."""
        return self._closed or connection.number() != self._connection

    def check_open(self) -> None:
        """Raise if the cluster was left: most of Ray's functions would start a new one.

        Raises:
            ConnectionError: it was.
        """
        if self.closed:
            raise ConnectionError("The Ray cluster was left, and the results of its tasks with it")

    def call_soon(self, fn: Callable[[], Any]) -> None:
        """Call a function in a thread of ours.

        Ray's own, which says that a task has ended, is the one that fetches objects too: a callback that asked for a
        result there would wait for ever.

        Args:
            fn: called without arguments.
        """
        self._callbacks.put(fn)

    def _call_back(self) -> None:
        while (fn := self._callbacks.get()) is not None:
            try:
                fn()
            except Exception:
                logger.exception("A callback of a task failed")

    def _ended(self, future: RayFuture, end: concurrent.futures.Future[entry.End]) -> None:
        self._watch.remove(future)
        if end.exception() is None:
            self._nodes_used.add(end.result().node_id)
            self._remember(future.key, end.result().brief)
            future.keep_end(_ended_alike(replace(end.result(), brief=None)))

    def _remember(self, key: str, brief: Brief | None) -> None:
        if brief is not None:
            self._briefs[key] = brief
            if len(self._briefs) > KEPT_BRIEFS:
                self._briefs.popitem(last=False)

    def _give_up(self, futures: list[RayFuture], message: str) -> None:
        if self.closed:
            return
        self._startup_failure = self._startup_failure or message
        error = NoNodeError(message)
        for future in reversed(futures):
            future.give_up(error)

    def _make_variant(
        self, name: str, needs: Needs | None, lost_task_retries: int
    ) -> tuple[Any, pending_tasks.Amounts]:
        demand = task_options.demand(needs)
        retries = lost_task_retries + 1 + _UNTOLD_STARTS
        # Ray takes `max_calls` with the function only.
        max_calls = needs.ray.get(task_options.MAX_CALLS) if needs else None
        remote = _remote(self._entry, max_calls=max_calls) if max_calls else self._run_task
        # Named by the task, not by its run: Ray leases workers anew for each name.
        return remote.options(name=name, max_retries=retries, **task_options.options(needs, demand)), demand


def _remote(entry: Callable[..., Any], **options: Any) -> Any:
    return ray.remote(num_returns=2, retry_exceptions=False, **options)(entry)


@lru_cache
def _ended_alike(how: entry.End) -> concurrent.futures.Future[entry.End]:
    end: concurrent.futures.Future[entry.End] = concurrent.futures.Future()
    end.set_result(how)
    return end


@contextlib.contextmanager
def _reachable(what: str) -> Iterator[None]:
    try:
        yield
    except (errors.RayError, RuntimeError, OSError) as error:
        raise ConnectionError(f"The Ray cluster did not {what}: {type(error).__name__}: {error}") from error


def _cpus(node: dict[str, Any]) -> float:
    cpus: float = node["Resources"].get("CPU", 0)
    return cpus
