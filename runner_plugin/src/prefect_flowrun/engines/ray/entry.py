"""The function that Ray runs on a worker for each task, and what else our engine runs there.

Imports no prefect by itself: a node that only answers for its versions need not load it.
"""

from __future__ import annotations

import pickle
import signal
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import cloudpickle
import ray
from ray._private.worker import global_worker

from prefect_flowrun.engines.ray import drain_sockets

if TYPE_CHECKING:
    from prefect_flowrun.wire.versions import Versions


@dataclass(frozen=True)
class Packed:
    """An outcome, pickled as the payload was.

    Ray pickles with a cloudpickle of its own, which knows nothing of the classes that came by value with ours: the
    driver would get back a class that only looks like its own, and `except` would not catch it.
    """

    data: bytes

    def open(self) -> Any:
        """Return the outcome."""
        return pickle.loads(self.data)  # noqa: S301 - from our own worker


class RayStart:
    """One start of a task, as Ray counts it."""

    outcome = None
    """Small outcomes are with the driver, which outlives the workers."""

    @property
    def number(self) -> int:
        """See `Start.number`. Ray counts a task that had reached a worker process, so nearly always had begun."""
        try:
            attempts: int = global_worker.core_worker.get_current_task_attempt_number()
        except AttributeError:  # of Ray's inside; without it each start passes for the first
            return 1
        return attempts + 1

    def finish(self, outcome: Any) -> None:
        """Keep nothing; see `outcome`."""


def run_task(payload: bytes, parcels: Sequence[ray.ObjectRef], *states: Any) -> tuple[Any, str]:
    """Run the task of a payload; see `prefect_flowrun.worker.run_task.run`.

    Args:
        payload: made by `prefect_flowrun.wire.packer`.
        parcels: what the payload refers to. In a list, so that Ray does not fetch them for each task anew.
        states: final states of the upstream task runs.

    Returns:
        What the task ended with, and the node's id: the driver waits for the latter, which is small.
    """
    from prefect_flowrun.worker.delivery import Delivery  # noqa: PLC0415 - see above
    from prefect_flowrun.worker.run_task import run  # noqa: PLC0415

    _prepare_process()
    node_id: str = ray.get_runtime_context().get_node_id()
    delivery = Delivery(
        payload=payload,
        states=[state.open() if isinstance(state, Packed) else state for state in states],
        open_parcel=lambda index: ray.get(parcels[index]),
        start=RayStart(),
        node=node_name(socket.gethostname(), node_id),
        join=_join,
    )
    return Packed(cloudpickle.dumps(run(delivery, "ray"))), node_id


@cache
def _join() -> Any:
    from prefect_flowrun.engines.ray.engine import RayEngine  # noqa: PLC0415 - see above

    return RayEngine.of_worker()


def node_versions() -> Versions:
    """Return the versions of this node."""
    from prefect_flowrun.wire.versions import collect  # noqa: PLC0415 - see above

    return collect("ray")


def node_name(host: str, node_id: str) -> str:
    """Name a node for humans.

    Args:
        host: its host name, that of its pod.
        node_id: Ray's; several nodes may be on one host.
    """
    return f"{host} ({node_id[:8]})"


@cache
def _prepare_process() -> None:
    drain_sockets.listen()
    if threading.current_thread() is threading.main_thread():
        # How Ray interrupts a cancelled task. It would hit anything, e.g. a request half sent on a client that the
        # next task uses; and Prefect would call the task run crashed, not cancelled.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
