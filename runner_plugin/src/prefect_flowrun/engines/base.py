"""What the task runner needs of an engine."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from prefect_flowrun.contract import ClusterContract


class EngineFuture(Protocol):
    """A handle to work on the cluster, as Dask and concurrent.futures have it."""

    def result(self, timeout: float | None = None) -> Any:
        """Return the outcome, waiting at most `timeout` seconds; raise the engine's time-out error after it."""

    def done(self) -> bool:
        """Tell whether the work has ended, in whatever way."""

    def add_done_callback(self, fn: Callable[[Any], Any]) -> None:
        """Call `fn` with this future when the work has ended, at once if it already has."""


class Engine(Protocol):
    """A live connection from this process to one cluster."""

    @property
    def name(self) -> str:
        """Name of the engine, as in the contract."""

    @property
    def startup_failure(self) -> str | None:
        """What was said of the first task that no worker took within the start-up time; None if all found one."""

    def submit(
        self, key: str, function: Callable[..., Any], payload: bytes, upstream: Sequence[EngineFuture]
    ) -> EngineFuture:
        """Start `function(payload, *states)` on a worker once the upstream futures have ended.

        Args:
            key: unique, readable name of the work.
            function: importable on the workers.
            payload: what travels by value.
            upstream: futures of this engine, whose results follow the payload as arguments.
        """

    def wait(self, futures: Sequence[EngineFuture], timeout: float | None) -> int:
        """Wait until the futures have ended.

        Args:
            futures: futures of this engine.
            timeout: seconds; None waits without limit.

        Returns:
            How many had not ended when the time was up.
        """

    def cancel(self, futures: Sequence[EngineFuture]) -> None:
        """Give up queued and running work. A task that runs already can't be interrupted; its result is dropped."""

    def drain(self, timeout: float) -> None:
        """Have every worker send the logs and events it still holds.

        Args:
            timeout: seconds to wait at most; a worker that doesn't answer is passed over.
        """

    def is_timeout(self, error: BaseException) -> bool:
        """Tell whether an error of `EngineFuture.result` means that only the waiting ended."""

    def describe_loss(self, error: BaseException) -> str:
        """Say for a human why the cluster could not run a task."""

    def close(self) -> None:
        """Leave the cluster; stop it too if this process started it. May be called twice."""


class CoordinatorSpec(Protocol):
    """How to start the coordinator of an engine as a child process."""

    def __call__(self, cluster: ClusterContract) -> tuple[list[str], dict[str, str]]:
        """Return the command line and the environment variables to add."""


TIMEOUTS = (TimeoutError, concurrent.futures.TimeoutError)
