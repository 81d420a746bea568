"""The final state of a task as it travels: pickled once, by the worker that made it, and opened by who wants it.

To an engine it is bytes. So nothing of the user's runs while an engine moves inputs and results about: an object whose
unpickling ends the process does so within a start of the task that opens it, which is counted. And Ray's cloudpickle,
which knows nothing of classes that came by value with ours, has no say.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import cloudpickle

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

# Smaller ones are not worth a frame of their own.
_BESIDE_BYTES = 64 * 2**10


class Brief(NamedTuple):
    """What a state says without its data: enough for Prefect's record of a task run whose own events were lost."""

    type: str
    name: str | None
    message: str | None
    timestamp: str
    """In ISO 8601."""

    def to_bytes(self) -> bytes:
        """Return it in one piece, which costs an engine less to pass on than its parts."""
        return pickle.dumps(tuple(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> Brief:
        """Return what `to_bytes` has made bytes of.

        Args:
            data: those.
        """
        return cls(*pickle.loads(data))  # noqa: S301 - plain values, from our own workers

    def state(self) -> State[Any]:
        """Return a state without data."""
        # Not at the top: Dask's scheduler and idle nodes come here, too, and would be busy for a second.
        from prefect.client.schemas.objects import State, StateType  # noqa: PLC0415

        return State(
            type=StateType(self.type),
            name=self.name,
            message=self.message,
            timestamp=datetime.fromisoformat(self.timestamp),
        )


class PackedState:
    """A pickled state, and the large buffers (arrays, frames) in it that were not copied."""

    __slots__ = ("brief", "buffers", "data")

    def __init__(self, data: bytes, buffers: Sequence[Any] = (), brief: Brief | None = None) -> None:
        """Take what `pack` has made.

        Args:
            data: the pickle.
            buffers: that it refers to.
            brief: of the state.
        """
        self.data = data
        self.buffers = buffers
        self.brief = brief

    @classmethod
    def of_small(cls, whole: bytes) -> PackedState:
        """Return what `small` has made bytes of.

        Args:
            whole: those.
        """
        brief, data = pickle.loads(whole)  # noqa: S301 - plain values, from our own workers
        return cls(data, (), Brief(*brief) if brief else None)

    def open(self) -> Any:
        """Return the state; runs whatever code its pickle names."""
        return pickle.loads(self.data, buffers=self.buffers)  # noqa: S301 - from our own workers

    def small(self, limit: int) -> bytes | None:
        """Return the whole as bytes for `of_small`; None if there are more than `limit`."""
        if self.buffers or len(self.data) > limit:
            return None
        return pickle.dumps((self.brief and tuple(self.brief), self.data))

    def __sizeof__(self) -> int:
        # What Dask takes for the size of a result.
        return len(self.data) + sum(memoryview(buffer).nbytes for buffer in self.buffers)

    def __reduce__(self) -> tuple[Any, ...]:
        # Wrapped anew: what has arrived is a memoryview, which can't travel on as it is.
        return PackedState, (self.data, [pickle.PickleBuffer(buffer) for buffer in self.buffers], self.brief)


def pack(state: Any, *, share_memory: bool) -> PackedState:
    """Pickle a state, unless it is packed already.

    Args:
        state: of a task.
        share_memory: whether large buffers are kept as they are, not copied: where the engine neither loses them nor
            hands them out read-only.

    Raises:
        Exception: something in it can't be pickled.
    """
    if isinstance(state, PackedState):
        return state
    buffers: list[pickle.PickleBuffer] = []
    callback = _take_large(buffers) if share_memory else None
    return PackedState(cloudpickle.dumps(state, protocol=5, buffer_callback=callback), buffers, _brief(state))


def _brief(state: Any) -> Brief | None:
    if not hasattr(state, "state_details"):  # something else that came back
        return None
    return Brief(state.type.value, state.name, state.message, state.timestamp.isoformat())


def opened(outcome: Any) -> Any:
    """Return the state of an outcome, packed or not.

    Args:
        outcome: what a worker has returned.
    """
    return outcome.open() if isinstance(outcome, PackedState) else outcome


def _take_large(buffers: list[pickle.PickleBuffer]) -> Callable[[pickle.PickleBuffer], bool]:
    def leave_in_pickle(buffer: pickle.PickleBuffer) -> bool:
        if memoryview(buffer).nbytes < _BESIDE_BYTES:
            return True
        buffers.append(buffer)
        return False

    return leave_in_pickle
