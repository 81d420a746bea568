"""The function that Dask runs on a worker for each task.

Imports nothing heavy by itself: Dask's scheduler unpickles what is submitted, and would else import prefect, a second
or more during which it answers nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import distributed
from distributed.utils import sync

from prefect_flowrun.engines.dask import names
from prefect_flowrun.wire.outcomes import PackedState, pack

if TYPE_CHECKING:
    from prefect_flowrun.wire.versions import Versions

# What the scheduler keeps of a finished task in case its worker is lost, and sends to those who hold its future; enough
# for a state without much of a result.
_KEPT_OUTCOME_BYTES = 16 * 2**10
# However slow the network is. A scheduler that has gone is noticed at once.
OPEN_TIMEOUT_S = 600.0


class DaskStart:
    """One start of a task, as the scheduler counts it."""

    def __init__(self, worker: distributed.Worker, key: str) -> None:
        self._worker = worker
        self._key = key
        self._plugin = worker.plugins[names.NAME]
        self._told = self._plugin.start_told(key)
        if self._told is None:
            # Asked now and waited for later: versions are compared meanwhile.
            counting = getattr(worker.scheduler, names.START)(key=key)
            self._counted = asyncio.run_coroutine_threadsafe(counting, worker.loop.asyncio_loop)

    @property
    def number(self) -> int:
        """See `Start.number`. Where no worker was lost it is known beforehand; that it is told is waited for."""
        if self._told is None:
            return int(self._counted.result()[0])
        self._told.wait()
        return 1

    @property
    def outcome(self) -> Any | None:
        """See `Start.outcome`."""
        known = self._counted.result()[1] if self._told is None else None
        return None if known is None else PackedState.of_small(known)

    def finish(self, outcome: Any, given_up: str | None) -> None:
        """Tell the scheduler how it has ended.

        Args:
            outcome: packed, unless it can't be. A small one is kept in case this worker is lost.
            given_up: why the task was not started again, if it was not.
        """
        if isinstance(outcome, PackedState):
            small = outcome.small(_KEPT_OUTCOME_BYTES)
            brief = outcome.brief.to_bytes() if outcome.brief is not None else None
            message = {"op": names.FINISH, "key": self._key, "outcome": small, "brief": brief}
            self._plugin.tell_end(self._key, message)
        if given_up is not None:
            event = {"key": self._key, "message": given_up}
            self._worker.loop.add_callback(self._worker.log_event, names.GIVEN_UP, event)


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
    start = DaskStart(worker, key)
    delivery = Delivery(
        payload=payload,
        states=states,
        open_parcel=lambda index: _open(worker, parcels[index]),
        start=start,
        node=f"{worker.name} ({worker.address})",
        join=_join,
    )
    ended = run(delivery, "distributed")
    outcome = ended.outcome
    # What can't be pickled stays here as it is: Dask says so in its own way when somebody elsewhere wants it.
    with suppress(Exception):
        outcome = pack(outcome, share_memory=True)
    start.finish(outcome, ended.given_up)
    return outcome


def _join() -> Any:
    from prefect_flowrun.engines.dask.engine import DaskEngine  # noqa: PLC0415 - see above

    return DaskEngine.of_worker()


def worker_versions() -> Versions:
    """Return the versions of this worker."""
    from prefect_flowrun.wire.versions import collect  # noqa: PLC0415 - see above

    return collect("distributed")


def _open(worker: distributed.Worker, parcel: str) -> bytes:
    ask = getattr(worker.scheduler, names.GET)
    answer: dict[str, bytes] = sync(worker.loop, ask, parcel=parcel, callback_timeout=OPEN_TIMEOUT_S)
    if "data" not in answer:
        raise LookupError("Bytes that the task needs are no longer on the cluster: whoever had put them there has gone")
    return answer["data"]
