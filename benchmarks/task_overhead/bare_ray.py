"""Ray without Prefect: what the engine itself costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import ray

from task_overhead.measure import Calls


class RayCalls:
    """Calls of `f.remote`, each function made remote once."""

    def __init__(self) -> None:
        self._remote: dict[Callable[..., Any], Any] = {}

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        if function not in self._remote:
            self._remote[function] = ray.remote(function)
        return self._remote[function].remote(*args)

    def map(self, function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        return [self.submit(function, item) for item in items]

    def results(self, futures: list[Any]) -> list[Any]:
        return list(ray.get(futures))


@contextmanager
def connected(address: str) -> Iterator[Calls]:
    """Connect to the cluster whose head is at this address."""
    ray.init(address, log_to_driver=False)
    try:
        yield RayCalls()
    finally:
        ray.shutdown()
