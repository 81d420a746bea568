"""What the scheduler tells a client of its tasks, unasked: small outcomes, and why a task was not started again."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from prefect_flowrun.engines.dask import names

if TYPE_CHECKING:
    import distributed

    from prefect_flowrun.engines.dask.future import DaskFuture


class Notices:
    """Those of one client; see `notices_of`."""

    def __init__(self, client: distributed.Client) -> None:
        self._futures: weakref.WeakValueDictionary[str, DaskFuture] = weakref.WeakValueDictionary()
        self._given_up: dict[str, str] = {}
        client.subscribe_topic(names.GIVEN_UP, self._note_given_up)
        # Dask's table has no public name. Without this entry outcomes are fetched one by one, Dask's own way.
        client._stream_handlers[names.OUTCOME] = self._take_outcome

    def watch(self, future: DaskFuture) -> None:
        """Give a future its outcome when that comes.

        Args:
            future: of a task that was submitted just now. An outcome that is here before this call is not missed
                by anybody: the future fetches it.
        """
        self._futures[future.key] = future

    def given_up(self, key: str) -> str | None:
        """Return why the worker's side did not start a task again, once; None if it did.

        Args:
            key: of a task that has ended.
        """
        return self._given_up.pop(key, None)

    def _take_outcome(self, key: str, outcome: bytes) -> None:
        if (future := self._futures.pop(key, None)) is not None:
            future.small_outcome = outcome

    def _note_given_up(self, event: tuple[float, dict[str, Any]]) -> None:
        told = event[1]
        self._given_up[told["key"]] = told["message"]


_notices: weakref.WeakKeyDictionary[distributed.Client, Notices] = weakref.WeakKeyDictionary()


def notices_of(client: distributed.Client) -> Notices:
    """Return what a client is told; the same for all engines that use it.

    Args:
        client: connected.
    """
    if (known := _notices.get(client)) is None:
        known = _notices[client] = Notices(client)
    return known
