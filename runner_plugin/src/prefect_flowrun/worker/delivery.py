"""What an engine gives the worker's side of one start of a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from prefect_flowrun.worker.own_cluster import Join


class Start(Protocol):
    """What an engine tells the worker's side of one start of a task: a lost worker's tasks are started again."""

    @property
    def number(self) -> int:
        """1 for the first start of this task, 2 if a worker was lost that had started it, and so on."""

    @property
    def outcome(self) -> Any | None:
        """What an earlier start has ended with, if the engine has kept it; the task need not run again then."""


@dataclass(frozen=True)
class Delivery:
    """What the engine's entry function on the worker hands to `run_task.run`."""

    payload: bytes
    states: Sequence[Any]
    """Outcomes of the upstream futures, in their order; packed, see `wire.outcomes`."""
    open_parcel: Callable[[int], bytes]
    """Fetch the bytes of the parcel with this index, over the network if need be."""
    start: Start
    node: str
    """Name of the node or worker, for messages."""
    join: Join
    """Return the engine of this process, by which the task may submit others."""


@dataclass(frozen=True)
class Ended:
    """What a start of a task has come to."""

    outcome: Any
    """The task's final state; packed if an earlier start has ended with it."""
    given_up: str | None = None
    """Why the task was not started again. Nothing was opened, so Prefect does not know yet: the driver tells it."""
