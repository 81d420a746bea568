"""The function that Ray runs on a worker for each task, and what else our engine runs there.

Imports no prefect by itself: a node that only answers for its versions need not load it.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import ray
from ray._private.worker import global_worker

from prefect_flowrun.engines.ray import calls, drain_sockets
from prefect_flowrun.wire.outcomes import Brief, PackedState, pack

if TYPE_CHECKING:
    from prefect_flowrun.wire.versions import Versions


@dataclass(frozen=True)
class End:
    """What the driver learns when a task ends, without fetching its outcome."""

    node_id: str
    given_up: str | None = None
    """Why the worker's side did not start the task again."""
    brief: Brief | None = None
    """Of the outcome."""


class RayStart:
    """One start of a task, as Ray counts it."""

    outcome = None
    """Never known here: small outcomes are with the driver, which outlives the workers."""

    @property
    def number(self) -> int:
        """See `Start.number`. Ray counts a task that had reached a worker process, so nearly always had begun."""
        try:
            attempts: int = global_worker.core_worker.get_current_task_attempt_number()
        except AttributeError:  # of Ray's inside; without it each start passes for the first
            return 1
        return attempts + 1


def run_task(payload: bytes, parcels: Sequence[ray.ObjectRef], *states: PackedState) -> tuple[PackedState, End]:
    """Run the task of a payload; see `prefect_flowrun.worker.run_task.run`.

    Args:
        payload: made by `prefect_flowrun.wire.packer`.
        parcels: what the payload refers to. In a list, so that Ray does not fetch them for each task anew.
        states: final states of the upstream task runs.

    Returns:
        What the task ended with, and what the driver waits for, which is small.
    """
    from prefect_flowrun.worker.delivery import Delivery  # noqa: PLC0415 - see above
    from prefect_flowrun.worker.run_task import run  # noqa: PLC0415

    _prepare_process()
    node_id: str = ray.get_runtime_context().get_node_id()
    delivery = Delivery(
        payload=payload,
        states=states,
        open_parcel=lambda index: ray.get(parcels[index]),
        start=RayStart(),
        node=node_name(socket.gethostname(), node_id),
        join=_join,
    )
    ended = run(delivery, "ray")
    # Copied, since Ray hands out shared memory read-only.
    outcome = pack(ended.outcome, share_memory=False)
    return outcome, End(node_id, ended.given_up, outcome.brief)


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
    if not calls.is_replaced(ray.init):  # a process that was started without our preload
        calls.route(ray, calls.OnWorker())
    if threading.current_thread() is threading.main_thread():
        # How Ray interrupts a cancelled task. It would hit anything, e.g. a request half sent on a client that the
        # next task uses; and Prefect would call the task run crashed, not cancelled.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
