"""What the task runner needs of an engine, and how its coordinator is started."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from flowrun_api.contract import ClusterContract
    from prefect_flowrun.engines.needs import Needs
    from prefect_flowrun.wire.outcomes import Brief
    from prefect_flowrun.wire.versions import Versions

TIMEOUTS = (TimeoutError, concurrent.futures.TimeoutError)


class EngineFuture(Protocol):
    """A handle to one task on the cluster. Its outcome stays there until `result` is called."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the work has ended, in whatever way, and move no data.

        Args:
            timeout: seconds; None waits without limit.

        Returns:
            Whether it has ended.
        """

    def result(self) -> Any:
        """Return what the worker's function returned, waiting for it; raise what kept it from returning."""

    def let_go(self) -> bool:
        """Have the cluster forget the outcome if it is small; only after `result` has returned it.

        Thousands of futures that a flow keeps would otherwise keep as many objects on the cluster and here.

        Returns:
            Whether it is forgotten; the future can then no longer be the upstream of another task.
        """

    def done(self) -> bool:
        """Tell whether the work has ended, in whatever way."""

    def failure(self) -> BaseException | None:
        """Return what kept the worker's function from returning, None if it returned. Moves no data.

        Only after the end. The function returns a Prefect state whether the task failed or not, so this is a failure
        of the cluster's.
        """

    def given_up(self) -> str | None:
        """Return why the worker's side did not start the task again, None if it did. Moves no data.

        Only after the end. See `worker.lost_task_policy`; the outcome is a state Crashed that Prefect has not seen.
        """

    def add_done_callback(self, fn: Callable[[], Any]) -> None:
        """Call `fn` in some thread when the work has ended, at once if it already has. `fn` is quick."""


@dataclass(frozen=True)
class Call:
    """One task as an engine gets it."""

    key: str
    """Unique, and readable in the engine's dashboard."""
    payload: bytes
    """What travels by value; made and read by `prefect_flowrun.wire.packer`."""
    parcels: Sequence[Any] = ()
    """What `Engine.put` returned for the bytes that this payload refers to."""
    upstream: Sequence[EngineFuture] = ()
    """Futures of this engine; the task starts when they have ended and gets their results."""
    needs: Needs | None = None
    """CPUs and other resources that the task asks for."""
    lost_task_retries: int = 0
    """How often the worker's side will start the task again after a lost worker."""


class Engine(Protocol):
    """A live connection from this process to one cluster."""

    @property
    def name(self) -> str:
        """Name of the engine, as in the contract."""

    @property
    def package(self) -> str:
        """Python package whose version must fit on both sides."""

    @property
    def closed(self) -> bool:
        """Whether the cluster was left: by `close`, or because the flow itself has closed the connection."""

    @property
    def startup_failure(self) -> str | None:
        """What was said of the first task that no worker took within the start-up time; None if all found one."""

    def put(self, data: bytes) -> Any:
        """Make bytes available to every worker, present and future, under the returned parcel.

        Needs no worker: the bytes wait where the coordinator is, and no lost worker takes them along.

        Args:
            data: travels once to the cluster, and once to every worker that opens it.

        Returns:
            The parcel: belongs into `Call.parcels`. The cluster drops the data when the last one is forgotten. Weakly
            referable.

        Raises:
            ConnectionError: the cluster can't be reached; the message says why.
        """

    def holds(self, parcel: Any) -> bool:
        """Tell whether the cluster still has the bytes; not if it was begun anew, or took the connection for lost.

        Args:
            parcel: from `put`.
        """

    def submit(self, call: Call) -> EngineFuture:
        """Start a task on a worker once its upstream futures have ended.

        A worker that is lost with a started task has the task started again: `Start.number` tells the worker's side,
        which decides (see `prefect_flowrun.worker.lost_task_policy`). The engine itself gives a task up only if it ends
        workers time and again before the worker's side has its say, because of the size of what comes with it.

        Raises:
            ConnectionError: the cluster can't be reached; the message says why.
        """

    def wait(self, futures: Sequence[EngineFuture], timeout: float | None) -> int:
        """Wait until the futures have ended. A task that waits makes room on its worker for others meanwhile.

        Args:
            futures: futures of this engine.
            timeout: seconds; None waits without limit.

        Returns:
            How many had not ended when the time was up.
        """

    def cancel(self, futures: Sequence[EngineFuture]) -> None:
        """Give up queued and running work. A task that runs already can't be interrupted; its result is dropped."""

    def wait_for_workers(self, count: int, timeout: float) -> int:
        """Wait until so many workers have joined.

        Args:
            count: workers.
            timeout: seconds.

        Returns:
            How many there are, at most `timeout` seconds later.
        """

    def versions(self, timeout: float) -> dict[str, Versions]:
        """Ask every worker that there is for its versions; workers that come later check for themselves.

        Args:
            timeout: seconds; a worker that doesn't answer is left out.
        """

    def give_way(self, future: EngineFuture) -> None:
        """Prepare for a wait that this engine will not see: somebody has asked to be called at the end of a task.

        In a task on a worker it could wait for what needs its own place. Elsewhere there is nothing to do.

        Args:
            future: whose end is waited for.
        """

    def drain(self, timeout: float) -> set[str]:
        """Have every worker send the logs and events it still holds.

        Args:
            timeout: seconds to wait at most; a worker that doesn't answer is passed over.

        Returns:
            Ids of the task runs that still go on there, of whatever flow: what was cancelled is not interrupted.
        """

    def briefs(self, keys: Collection[str]) -> dict[str, Brief]:
        """Return how tasks have ended, of those for which that is still known, whoever holds a future of them.

        Args:
            keys: of calls that have ended.
        """

    def sizes(self, futures: Sequence[EngineFuture]) -> list[int | None]:
        """Tell how many bytes the outcomes of tasks that have ended have; None where that is unknown. Moves no data.

        Args:
            futures: of this engine.
        """

    def describe_loss(self, error: BaseException) -> str:
        """Say for a human why the cluster could not run a task."""

    def close(self) -> None:
        """Leave the cluster; stop it too if this process started it. May be called twice."""


class CoordinatorSpec(Protocol):
    """How to start the coordinator of an engine as a child process."""

    def __call__(self, cluster: ClusterContract) -> tuple[list[str], dict[str, str]]:
        """Return the command line and the environment variables to add."""
