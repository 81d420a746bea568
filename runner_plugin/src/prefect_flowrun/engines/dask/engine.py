"""The Dask engine: one `distributed.Client` behind the engine Protocol."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import socket
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from uuid import uuid4

import dask
import distributed
from distributed.client import FutureCancelledError
from distributed.protocol import to_serialize
from distributed.scheduler import KilledWorker, NoValidWorkerError

from prefect_flowrun.engines.base import TIMEOUTS, Call, EngineFuture
from prefect_flowrun.engines.dask import entry, names, task_thread
from prefect_flowrun.engines.dask.future import DaskFuture
from prefect_flowrun.engines.dask.notices import notices_of
from prefect_flowrun.engines.dask.scheduler_plugin import FlowRunMemory, NotOfferedError
from prefect_flowrun.engines.dask.settings import LOCAL_CONFIG, SCHEDULER_CONFIG
from prefect_flowrun.wire.outcomes import Brief
from prefect_flowrun.wire.versions import VersionMismatchError
from prefect_flowrun.worker import running
from prefect_flowrun.worker.drain import flush_process

if TYPE_CHECKING:
    from flowrun_api.contract import ClusterContract
    from prefect_flowrun.engines.needs import Needs
    from prefect_flowrun.wire.versions import Versions

PORT_POLL_S = 0.02
CLOSE_TIMEOUT_S = 1.0
# Of a cluster on this machine. Dask waits for ever for a worker process that was ending while it was started anew.
CLOSE_LOCAL_TIMEOUT_S = 15.0
# However slow the network is. A scheduler that has gone is noticed at once.
PUT_TIMEOUT_S = 600.0
ANSWER_TIMEOUT_S = 60.0
WAIT_PAUSE_S = 0.02

# What its calls raise when the scheduler has gone or is silent, when the client was closed, when somebody else has
# cancelled: by no rule which of them. ClosedClientError is newer than the oldest distributed that we take.
UNREACHABLE: tuple[type[BaseException], ...] = (
    *(*TIMEOUTS, OSError, RuntimeError, concurrent.futures.CancelledError, asyncio.CancelledError),
    *filter(None, [getattr(distributed.client, "ClosedClientError", None)]),
)
# NoWorkerError is newer than the oldest distributed that we take.
_NO_WORKER: tuple[type[BaseException], ...] = tuple(
    error for error in (NoValidWorkerError, getattr(distributed.scheduler, "NoWorkerError", None)) if error
)


class Parcel:
    """Bytes on the scheduler, which outlives any worker. Gone from there when nobody here holds this any more."""

    __slots__ = ("__weakref__", "connection", "name")

    def __init__(self, name: str, connection: Any) -> None:
        self.name = name
        self.connection = connection
        """By which they came: the scheduler drops what belongs to one that has broken."""


class DaskEngine:
    """Tasks on a Dask cluster."""

    name = "Dask"
    package = "distributed"

    def __init__(
        self,
        client: distributed.Client,
        local_cluster: distributed.LocalCluster | None = None,
        *,
        on_worker: bool = False,
    ) -> None:
        """Take a connected client.

        Args:
            client: closed with the engine, unless it is a worker's.
            local_cluster: closed with the engine.
            on_worker: whether this process is a worker, and those who wait are its tasks.
        """
        self._client = client
        self._local_cluster = local_cluster
        self._on_worker = on_worker
        self._closed = False
        self._startup_failure: str | None = None
        if not on_worker:  # or the driver has done so
            client.register_plugin(FlowRunMemory(), name=names.NAME)
        self._notices = notices_of(client)

    @property
    def client(self) -> distributed.Client:
        """Dask's own."""
        return self._client

    @property
    def closed(self) -> bool:
        """See `Engine.closed`."""
        return self._closed

    @property
    def on_worker(self) -> bool:
        """Whether those who wait are tasks of a worker."""
        return self._on_worker

    @property
    def startup_failure(self) -> str | None:
        """See `Engine.startup_failure`."""
        return self._startup_failure

    @classmethod
    def connect(cls, cluster: ClusterContract) -> DaskEngine:
        """Connect to the scheduler that the driver started.

        Args:
            cluster: the cluster as the operator describes it.

        Raises:
            TimeoutError: the scheduler did not listen within the start-up time.
        """
        _wait_for_port(cluster.address, cluster.startup_timeout_seconds)
        # set_as_default would make every dask collection of the user's flow compute on the run's cluster, unasked.
        client = distributed.Client(cluster.address, set_as_default=False, name="flowrun-driver")
        return cls(client)

    @classmethod
    def start_local(cls) -> DaskEngine:
        """Start a Dask cluster on this machine, for a flow that runs outside a FlowRun."""
        dask.config.set(LOCAL_CONFIG)
        with dask.config.set(SCHEDULER_CONFIG):
            # Port 0 for the dashboard: a second flow on the same machine must not complain about 8787.
            cluster = distributed.LocalCluster(dashboard_address=":0", resources={"CPU": _cpus_per_local_worker()})
        return cls(distributed.Client(cluster, set_as_default=False), cluster)

    @classmethod
    def of_worker(cls) -> DaskEngine:
        """Use the client of the worker that the calling task runs on."""
        return cls(distributed.get_client(), on_worker=True)

    def put(self, data: bytes) -> Parcel:
        """See `Engine.put`."""
        name, connection = uuid4().hex, self._client.scheduler_comm
        message = {"parcel": name, "data": to_serialize(data), "owner": self._client.id}
        with self._reachable(f"take {len(data)} bytes"):
            self._client.sync(self._ask, names.PUT, **message, callback_timeout=PUT_TIMEOUT_S)
        parcel = Parcel(name, connection)
        weakref.finalize(parcel, _drop, weakref.ref(self._client), name)
        return parcel

    def holds(self, parcel: Parcel) -> bool:
        """See `Engine.holds`."""
        return self._client.status == "running" and parcel.connection is self._client.scheduler_comm

    def submit(self, call: Call) -> DaskFuture:
        """See `Engine.submit`."""
        upstream = [cast("DaskFuture", future).future for future in call.upstream]
        with self._reachable("take a task"):
            # pure=False: the key is unique, so hashing the payload for it is lost time.
            future = self._client.submit(
                entry.run_task,
                call.key,
                call.payload,
                [parcel.name for parcel in call.parcels],
                *upstream,
                key=call.key,
                pure=False,
                **_placement(call.needs),
            )
        submitted = DaskFuture(self, future)
        self._notices.watch(submitted)
        return submitted

    def given_up(self, key: str) -> str | None:
        """Return why the worker's side did not start a task again, once; None if it did.

        Args:
            key: of a task that has ended.
        """
        return self._notices.given_up(key)

    async def _ask(self, what: str, **arguments: Any) -> Any:
        if self._client.scheduler is None:
            raise ConnectionError("the client was closed")
        return await getattr(self._client.scheduler, what)(**arguments)

    @contextlib.contextmanager
    def _reachable(self, what: str) -> Iterator[None]:
        try:
            yield
        except UNREACHABLE as error:
            message = f"The Dask scheduler did not {what}: {type(error).__name__}: {error}"
            raise ConnectionError(message) from error

    def wait(self, futures: Sequence[EngineFuture], timeout: float | None) -> int:
        """See `Engine.wait`."""
        if all(future.done() for future in futures):
            return 0
        making_room = task_thread.outside_pool() if self._on_worker else contextlib.nullcontext()
        with making_room:
            return self._wait(futures, timeout)

    def _wait(self, futures: Sequence[EngineFuture], timeout: float | None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        left = timeout
        while pending := [cast("DaskFuture", future).future for future in futures if not future.done()]:
            if left is not None and left <= 0:
                break
            # as_current, since wait() asks for the default client and ours isn't it. It also raises when some were
            # cancelled, or lost with the scheduler: those have ended, and the others are waited for.
            with self._client.as_current(), contextlib.suppress(*UNREACHABLE):
                distributed.wait(pending, timeout=left)
                continue
            time.sleep(WAIT_PAUSE_S)
            left = None if deadline is None else deadline - time.monotonic()
        return len(pending)

    def cancel(self, futures: Sequence[EngineFuture]) -> None:
        """See `Engine.cancel`."""
        # The scheduler may be the very thing that is gone.
        with contextlib.suppress(*UNREACHABLE):
            ours = [cast("DaskFuture", future).future for future in futures]
            self._client.cancel(ours, force=True, asynchronous=False)

    def wait_for_workers(self, count: int, timeout: float) -> int:
        """See `Engine.wait_for_workers`."""
        with contextlib.suppress(*UNREACHABLE):
            # Dask takes 0 for no limit.
            self._client.wait_for_workers(count, timeout=max(timeout, 1e-3))
        with contextlib.suppress(*UNREACHABLE):
            return len(self._client.scheduler_info(n_workers=-1).get("workers", ()))
        return 0

    def versions(self, timeout: float) -> dict[str, Versions]:
        """See `Engine.versions`."""
        answers = self._on_workers(entry.worker_versions, limit=timeout)
        return {node: answer for node, answer in answers.items() if isinstance(answer, dict)}

    def give_way(self, future: EngineFuture) -> None:
        """See `Engine.give_way`."""
        if self._on_worker and not future.done():
            task_thread.leave_pool()

    def drain(self, timeout: float) -> set[str]:
        """See `Engine.drain`."""
        # Bounded here too: a worker that is frozen answers nothing.
        answers = self._on_workers(_drain_worker, timeout, limit=timeout + 1)
        return {run for runs in answers.values() if isinstance(runs, list) for run in runs}

    def _on_workers(self, function: Callable[..., Any], *arguments: Any, limit: float) -> dict[str, Any]:
        """Run a function on every worker; leave out those that do not answer, all of them if the scheduler is gone."""
        answers: dict[str, Any] = {}
        if self._client.status == "running":
            with contextlib.suppress(*UNREACHABLE):
                answers = self._client.sync(
                    self._client._run, function, *arguments, on_error="ignore", callback_timeout=limit
                )
        return answers

    def briefs(self, keys: Collection[str]) -> dict[str, Brief]:
        """See `Engine.briefs`."""
        with contextlib.suppress(*UNREACHABLE):
            found = self._client.sync(self._ask, names.BRIEFS, keys=list(keys), callback_timeout=ANSWER_TIMEOUT_S)
            return {key: Brief.from_bytes(brief) for key, brief in found.items()}
        return {}

    def sizes(self, futures: Sequence[EngineFuture]) -> list[int | None]:
        """See `Engine.sizes`."""
        known: dict[str, int] = {}
        keys = [cast("DaskFuture", future).future.key for future in futures]
        if self._client.status == "running":
            with contextlib.suppress(*UNREACHABLE):
                # Of all: asked for one that it has forgotten, a scheduler fails.
                known = self._client.nbytes(summary=False)
        return [known.get(key) for key in keys]

    def describe_loss(self, error: BaseException) -> str:
        """See `Engine.describe_loss`."""
        if isinstance(error, _NO_WORKER):
            self._startup_failure = f"No Dask worker could take the task within the start-up time. {error}"
            return self._startup_failure
        if isinstance(error, (VersionMismatchError, NotOfferedError)):
            return str(error)
        if isinstance(error, KilledWorker):
            return (
                "Workers ended one after the other while they received the task and what it depends on, before it "
                f"could begin; most likely that is too large for their memory. {error}"
            )
        if isinstance(error, FutureCancelledError):
            return f"The task was cancelled on the Dask cluster: {error}"
        return f"The Dask cluster could not run the task: {type(error).__name__}: {error}"

    def close(self) -> None:
        """See `Engine.close`."""
        if self._closed or self._on_worker:
            return
        self._closed = True
        # With the scheduler gone, close() would wait for its farewell: bounded, since the driver is in a hurry then.
        with contextlib.suppress(*UNREACHABLE):
            self._client.close(timeout=CLOSE_TIMEOUT_S)
        if self._local_cluster is not None:
            with contextlib.suppress(*UNREACHABLE):
                self._local_cluster.close(timeout=CLOSE_LOCAL_TIMEOUT_S)


def _drop(client_of: weakref.ref[distributed.Client], parcel: str) -> None:
    client = client_of()
    # From whatever thread the last holder went in; the client's messages belong to its loop.
    if client is not None and client.status == "running":
        client.loop.add_callback(client._send_to_scheduler, {"op": names.DROP, "parcel": parcel})


def _placement(needs: Needs | None) -> dict[str, Any]:
    """Say where a task may run and before which others: `needs`, and over the rest what `dask.annotate` says here."""
    around = dask.get_annotations()
    resources = dict(around.get("resources") or {})
    if needs is not None:
        resources |= needs.resources
        if needs.num_cpus is not None:
            resources["CPU"] = needs.num_cpus
    workers = around.get("workers")
    return {
        "resources": resources or None,
        "workers": [workers] if isinstance(workers, str) else workers,
        "allow_other_workers": bool(around.get("allow_other_workers", False)),
        "priority": around.get("priority", 0),
    }


def _cpus_per_local_worker() -> int:
    # As LocalCluster divides them.
    processes, threads = distributed.deploy.utils.nprocesses_nthreads()
    del processes
    return int(threads)


async def _drain_worker(timeout: float) -> list[str]:  # noqa: ASYNC109 - the thread has the time-out, not the await
    # Off the worker's event loop, which must go on answering the scheduler while the API is slow.
    await asyncio.to_thread(flush_process, timeout)
    return running.now()


def _wait_for_port(address: str, timeout: float) -> None:
    """Wait for a listener; Client(address) alone would lose seconds to its growing random back-off."""
    parts = urlsplit(address)
    deadline = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 8786), timeout=1.0).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"The Dask scheduler at {address} did not listen within {timeout:g} s") from error
        time.sleep(PORT_POLL_S)
