"""The nodes of a Ray cluster: what they offer, and tasks that none of them could ever take.

Ray lets such a task wait for ever: while no worker has joined, after the last one was lost, or if it needs more than
any has.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ray._private import state

logger = logging.getLogger(__name__)

Amounts = Mapping[str, float]
"""Of resources, by Ray's names."""
GiveUp = Callable[[list[Any], str], None]

TICK_S = 1.0
# What Ray adds to every node by itself.
_NOT_TOLD = ("node:", "memory", "object_store_memory", "accelerator_type:")


class NoNodeError(RuntimeError):
    """No node of the cluster could take the task for as long as the cluster may take to start."""


def alive() -> list[dict[str, Any]]:
    """Return the nodes that run tasks: those with CPUs, which the driver's own has not."""
    return [node for node in _alive() if node["Resources"].get("CPU", 0) > 0]


def alive_ids() -> set[str]:
    """Return the ids of all nodes."""
    return {node["NodeID"] for node in _alive()}


def fits(demand: Amounts, offer: Amounts) -> bool:
    """Tell whether an idle node could take a task.

    Args:
        demand: of the task.
        offer: the node's resources in all.
    """
    return all(offer.get(name, 0) >= amount for name, amount in demand.items())


class Watch:
    """Looks, while tasks are pending, whether there is a node for each."""

    def __init__(self, patience_s: float, give_up: GiveUp) -> None:
        """Prepare; the thread runs only while tasks are pending.

        Args:
            patience_s: how long there may be no node for a task.
            give_up: called with the tasks and the reason.
        """
        self._patience_s = patience_s
        self._give_up = give_up
        self._lock = threading.Lock()
        self._running = False
        self._pending: dict[Any, Amounts] = {}
        self._none_since: dict[frozenset[tuple[str, float]], float] = {}

    def add(self, task: Any, demand: Amounts) -> None:
        """Watch over a task.

        Args:
            task: anything.
            demand: what it needs.
        """
        self._pending[task] = demand
        with self._lock:
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="flowrun-ray-nodes", daemon=True).start()

    def remove(self, task: Any) -> None:
        """Forget a task, which has ended.

        Args:
            task: as given to `add`.
        """
        self._pending.pop(task, None)

    def any_pending(self) -> bool:
        """Tell whether any task has not ended."""
        return bool(self._pending)

    def remove_all(self) -> list[Any]:
        """Forget all tasks and return them."""
        pending, self._pending = self._pending, {}
        return list(pending)

    def _run(self) -> None:
        while True:
            time.sleep(min(TICK_S, self._patience_s))
            with self._lock:
                if not self._pending:
                    self._running = False
                    self._none_since.clear()
                    return
            try:
                self._look(time.monotonic())
            # The cluster is gone, or was left: that is noticed and said elsewhere.
            except Exception as error:
                logger.debug("Ray did not name its nodes: %s", error)

    def _look(self, now: float) -> None:
        offers = [node["Resources"] for node in _alive()]
        waiting: dict[frozenset[tuple[str, float]], list[Any]] = {}
        for task, demand in list(self._pending.items()):
            waiting.setdefault(frozenset(demand.items()), []).append(task)
        for key, tasks in waiting.items():
            if any(fits(dict(key), offer) for offer in offers):
                self._none_since.pop(key, None)
            elif now - self._none_since.setdefault(key, now) >= self._patience_s:
                self._none_since.pop(key)
                self._give_up(tasks, _explain(dict(key), offers, self._patience_s))


def _alive() -> list[dict[str, Any]]:
    # Not ray.nodes(), which starts a Ray of its own if this process has left the cluster meanwhile.
    return [node for node in state.nodes() if node["Alive"]]


def _explain(demand: Amounts, offers: list[Amounts], patience_s: float) -> str:
    offered = sorted({_amounts(offer, also=demand) for offer in offers if offer.get("CPU")})
    there = f"the workers offer {'; '.join(offered)}" if offered else "no worker has joined or is left"
    needed = _amounts(demand, also=demand)
    return f"No Ray worker could take the task within {patience_s:g} s: it needs {needed}, and {there}"


def _amounts(resources: Amounts, also: Amounts) -> str:
    told = {name: amount for name, amount in resources.items() if name in also or not name.startswith(_NOT_TOLD)}
    return ", ".join(f"{name} {amount:g}" for name, amount in sorted(told.items())) or "nothing"
