"""Dask without Prefect: what the engine itself costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import distributed

from task_overhead.measure import Calls


class DaskCalls:
    """Calls of `client.submit`."""

    def __init__(self, client: distributed.Client) -> None:
        self._client = client

    # pure=False: equal calls are distinct, as tasks of a flow are.
    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._client.submit(function, *args, pure=False)

    def map(self, function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        return list(self._client.map(function, items, pure=False))

    def results(self, futures: list[Any]) -> list[Any]:
        return list(self._client.gather(futures))


@contextmanager
def connected(address: str) -> Iterator[Calls]:
    """Connect to the scheduler at this address."""
    with distributed.Client(address) as client:
        yield DaskCalls(client)
