"""The function that Dask runs on a worker for each task.

Imports nothing heavy by itself: Dask's scheduler unpickles what is submitted, and would else import prefect, a second
or more during which it answers nobody.
"""

from __future__ import annotations

import asyncio
import io
import pickle
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import distributed
from distributed.utils import sync

from prefect_flowrun.engines.dask import scheduler_plugin as memory

if TYPE_CHECKING:
    from prefect_flowrun.wire.versions import Versions

# What is kept of a finished task in case its worker is lost; enough for a state without much of a result.
_KEPT_OUTCOME_BYTES = 16 * 2**10


class DaskStart:
    """One start of a task, as the scheduler counts it."""

    def __init__(self, worker: distributed.Worker, key: str) -> None:
        self._worker = worker
        self._key = key
        # Asked now and waited for later: the payload is unpickled meanwhile.
        counting = getattr(worker.scheduler, memory.START)(key=key)
        self._counted = asyncio.run_coroutine_threadsafe(counting, worker.loop.asyncio_loop)

    @property
    def number(self) -> int:
        """See `Start.number`."""
        return int(self._counted.result()[0])

    @property
    def outcome(self) -> Any | None:
        """See `Start.outcome`."""
        data = self._counted.result()[1]
        return None if data is None else pickle.loads(data)  # noqa: S301 - written below

    def finish(self, outcome: Any) -> None:
        """See `Start.finish`."""
        data = _small_pickle(outcome)
        if data is not None:
            message = {"op": memory.FINISH, "key": self._key, "outcome": data}
            # Before Dask says that the task has ended, which it does by the same road.
            self._worker.loop.add_callback(self._worker.batched_send, message)


def run_task(key: str, payload: bytes, parcels: Sequence[Any], *states: Any) -> Any:
    """Run the task of a payload; see `prefect_flowrun.worker.run_task.run`.

    Args:
        key: of the task.
        payload: made by `prefect_flowrun.wire.packer`.
        parcels: what the payload refers to, as `DaskEngine.put` has named it.
        states: final states of the upstream task runs.
    """
    from prefect_flowrun.worker.delivery import Delivery  # noqa: PLC0415 - see above
    from prefect_flowrun.worker.run_task import run  # noqa: PLC0415

    worker = distributed.get_worker()
    delivery = Delivery(
        payload=payload,
        states=states,
        open_parcel=lambda index: _open(worker, parcels[index]),
        start=DaskStart(worker, key),
        node=f"{worker.name} ({worker.address})",
        join=_join,
    )
    return run(delivery, "distributed")


def _join() -> Any:
    from prefect_flowrun.engines.dask.engine import DaskEngine  # noqa: PLC0415 - see above

    return DaskEngine.of_worker()


def worker_versions() -> Versions:
    """Return the versions of this worker."""
    from prefect_flowrun.wire.versions import collect  # noqa: PLC0415 - see above

    return collect("distributed")


def _open(worker: distributed.Worker, parcel: Any) -> bytes:
    if isinstance(parcel, str):
        data: bytes = sync(worker.loop, getattr(worker.scheduler, memory.GET), parcel=parcel)
        return data
    client = distributed.get_client()
    scattered: bytes = client.gather(distributed.Future(parcel["scattered"], client))
    return scattered


class _FullError(Exception):
    """More was written than is kept."""


class _Limited(io.BytesIO):
    def write(self, data: Any) -> int:
        if self.tell() + len(data) > _KEPT_OUTCOME_BYTES:
            raise _FullError
        return super().write(data)


def _small_pickle(value: Any) -> bytes | None:
    import cloudpickle  # noqa: PLC0415 - see above

    file = _Limited()
    try:
        cloudpickle.Pickler(file, protocol=5).dump(value)
    # Too large, or not to be pickled at all: Dask says so in its own way when somebody wants it.
    except Exception:
        return None
    return file.getvalue()
