"""The Dask engine: one `distributed.Client` behind the engine Protocol."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import distributed
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker, NoValidWorkerError

from prefect_flowrun.engines.base import TIMEOUTS, EngineFuture
from prefect_flowrun.engines.drain import drain_process

if TYPE_CHECKING:
    from prefect_flowrun.contract import ClusterContract

PORT_POLL_S = 0.02
CLOSE_TIMEOUT_S = 1.0

# NoWorkerError is newer than the oldest distributed that we take.
_NO_WORKER: tuple[type[BaseException], ...] = tuple(
    error for error in (NoValidWorkerError, getattr(distributed.scheduler, "NoWorkerError", None)) if error
)


class DaskEngine:
    """Tasks on a Dask cluster."""

    name = "Dask"

    def __init__(self, client: distributed.Client, local_cluster: distributed.LocalCluster | None = None) -> None:
        self._client = client
        self._local_cluster = local_cluster
        self._closed = False
        self._startup_failure: str | None = None

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
        # Port 0 for the dashboard: a second flow on the same machine must not complain about 8787.
        cluster = distributed.LocalCluster(dashboard_address=":0")
        return cls(distributed.Client(cluster, set_as_default=False), cluster)

    def submit(
        self, key: str, function: Callable[..., Any], payload: bytes, upstream: Sequence[EngineFuture]
    ) -> EngineFuture:
        """See `Engine.submit`."""
        # pure=False: the key is unique, so hashing the payload for it is lost time.
        future: EngineFuture = self._client.submit(function, payload, *upstream, key=key, pure=False)
        return future

    def wait(self, futures: Sequence[EngineFuture], timeout: float | None) -> int:
        """See `Engine.wait`."""
        # as_current, since wait() asks for the default client and ours isn't it.
        with self._client.as_current(), contextlib.suppress(*TIMEOUTS, FutureCancelledError):
            distributed.wait(list(futures), timeout=timeout)
        return sum(not future.done() for future in futures)

    def cancel(self, futures: Sequence[EngineFuture]) -> None:
        """See `Engine.cancel`."""
        # The scheduler may be the very thing that is gone.
        with contextlib.suppress(*TIMEOUTS, OSError, RuntimeError, FutureCancelledError):
            self._client.cancel(list(futures), force=True, asynchronous=False)

    def drain(self, timeout: float) -> None:
        """See `Engine.drain`."""
        with contextlib.suppress(*TIMEOUTS, OSError):
            self._client.run(_drain_worker, timeout, on_error="ignore", wait=True)

    def is_timeout(self, error: BaseException) -> bool:
        """See `Engine.is_timeout`."""
        return isinstance(error, TIMEOUTS)

    def describe_loss(self, error: BaseException) -> str:
        """See `Engine.describe_loss`."""
        if isinstance(error, _NO_WORKER):
            self._startup_failure = f"No Dask worker could take the task within the start-up time. {error}"
            return self._startup_failure
        if isinstance(error, KilledWorker):
            return f"The Dask workers that ran the task were lost. {error}"
        if isinstance(error, FutureCancelledError):
            return f"The task was cancelled on the Dask cluster: {error}"
        return f"The Dask cluster could not run the task: {type(error).__name__}: {error}"

    def close(self) -> None:
        """See `Engine.close`."""
        if self._closed:
            return
        self._closed = True
        # With the scheduler gone, close() would wait for its farewell: bounded, since the driver is in a hurry then.
        with contextlib.suppress(*TIMEOUTS, OSError):
            self._client.close(timeout=CLOSE_TIMEOUT_S)
        if self._local_cluster is not None:
            self._local_cluster.close()


async def _drain_worker(timeout: float) -> None:  # noqa: ASYNC109 - the thread has the time-out, not the await
    # Off the worker's event loop, which must go on answering the scheduler while the API is slow.
    await asyncio.to_thread(drain_process, timeout)


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
