"""The worker's side of a task, the same for every engine: from the payload to the final state."""

from __future__ import annotations

import importlib
import logging
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import cloudpickle
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.task_engine import run_task_async, run_task_sync

from prefect_flowrun.records import task_run
from prefect_flowrun.wire import outcomes, versions
from prefect_flowrun.wire.envelope import Envelope
from prefect_flowrun.wire.resolved_futures import upstream_states
from prefect_flowrun.worker import flow_code, garbage, lost_task_policy, own_cluster, running, task_run_events
from prefect_flowrun.worker.delivery import Delivery, Ended
from prefect_flowrun.worker.prefect_context import Hydrated, hydrated

if TYPE_CHECKING:
    from prefect.tasks import Task


# By package, as the contract calls them.
_ENGINES = {"distributed": "Dask", "ray": "Ray"}
_KEPT_TASKS = 256
_KEPT_BYTES = 128 * 2**20


class RemoteTaskError(Exception):
    """Stands for an exception of a task that can't travel to the driver."""


class _Recent:
    """The values used last, by digest; shared by the threads of this process."""

    def __init__(self, count: int, size: int | None = None) -> None:
        self._count, self._limit = count, size
        self._size = 0
        self._lock = threading.Lock()
        self._values: OrderedDict[bytes, Any] = OrderedDict()

    def get(self, digest: bytes, make: Callable[[], Any]) -> Any:
        with self._lock:
            if digest in self._values:
                self._values.move_to_end(digest)
                return self._values[digest]
        value = make()
        with self._lock:
            if digest not in self._values:
                self._values[digest] = value
                self._size += len(value) if self._limit else 0
                while len(self._values) > self._count or (self._limit and self._size > self._limit):
                    old = self._values.popitem(last=False)[1]
                    self._size -= len(old) if self._limit else 0
        return value


# The bytes of parameters are kept, not the values: a task may change what it is given.
_bytes = _Recent(1024, _KEPT_BYTES)
_tasks = _Recent(_KEPT_TASKS)


class _Opened:
    """A payload with its blobs at hand."""

    def __init__(self, delivery: Delivery, envelope: Envelope) -> None:
        self._delivery = delivery
        self._envelope = envelope

    def enter_code(self) -> None:
        paths, *blobs = self._envelope.code
        archive, changes = (None if index is None else self._digest(index) for index in blobs)
        places = {self._digest(index): index for index in blobs if index is not None}
        flow_code.enter(paths, archive, changes, lambda digest: self._data(places[digest]))

    def context(self) -> Hydrated:
        digest = self._digest(self._envelope.context)
        return hydrated(digest, lambda: pickle.loads(self._data(self._envelope.context)))  # noqa: S301

    def task(self) -> Task[..., Any]:
        # The same name is another function in another version of the folder.
        archive = self._envelope.code[1]
        version = b"" if archive is None else self._digest(archive)
        task: Task[..., Any] = _tasks.get(
            self._digest(self._envelope.task) + version,
            lambda: pickle.loads(self._data(self._envelope.task)),  # noqa: S301 - from our own driver
        )
        return task

    def call(self) -> dict[str, Any]:
        token = upstream_states.set([outcomes.opened(state) for state in self._delivery.states])
        try:
            call: dict[str, Any] = pickle.loads(self._read(self._envelope.call))  # noqa: S301
            for name, index in self._envelope.large.items():
                call["parameters"][name] = pickle.loads(self._data(index))  # noqa: S301
        finally:
            upstream_states.reset(token)
        return call

    def _digest(self, index: int) -> bytes:
        return self._envelope.blobs[index][0]

    def _data(self, index: int) -> bytes:
        """Return bytes that other tasks may need too."""
        data: bytes = _bytes.get(self._digest(index), lambda: self._read(index))
        return data

    def _read(self, index: int) -> bytes:
        place = self._envelope.blobs[index][1]
        return place if isinstance(place, bytes) else self._delivery.open_parcel(place)


def run(delivery: Delivery, engine: str) -> Ended:
    """Run a task through Prefect's task engine, unless it was lost with a worker too often.

    Whether it was is known before anything is unpickled that the user has made: that may be what ended the worker.

    Args:
        delivery: from the engine's entry function.
        engine: package of the engine: "distributed" or "ray".

    Raises:
        VersionMismatchError: this worker's versions are known not to work with the driver's.
    """
    own_cluster.joining.set(delivery.join)
    envelope = Envelope.from_bytes(delivery.payload)
    versions.check(envelope.versions, versions.collect(engine), delivery.node)
    if (outcome := delivery.start.outcome) is not None:
        # It had ended, and only its result was lost with the worker.
        return Ended(outcome)
    verdict = lost_task_policy.may_start(delivery.start.number, envelope.lost_task_retries)
    if not verdict.run:
        return Ended(task_run.crashed(envelope.task_run_id, envelope.flow_run_id, verdict.message), verdict.message)
    if envelope.redirect is not None:
        # By name, since this is of the layer of those who submit. Before modules with flows in them are imported.
        submitting = importlib.import_module("prefect_flowrun.runner.redirect")
        submitting.install_on_worker(envelope.redirect, _ENGINES[engine])
    opened = _Opened(delivery, envelope)
    opened.enter_code()
    with flow_code.missing_modules_explained(delivery.node):
        context, task = opened.context(), opened.task()
        garbage.pass_over_imports()
        call = opened.call()
    assets = call.pop("assets")
    if verdict.message:
        context.run(lambda: task_run.log_loss(task, envelope.task_run_id, verdict.message, logging.WARNING), assets)
    with running.noted(envelope.task_run_id):
        return Ended(_sendable(_run_task(context, task, call, assets, all_events=envelope.all_events)))


def _run_task(
    context: Hydrated, task: Task[..., Any], call: dict[str, Any], assets: Any, *, all_events: bool
) -> State[Any]:
    arguments = {"task": task, "return_type": "state", **call}
    told = nullcontext if all_events else task_run_events.concise

    def run_sync() -> State[Any]:
        with told():
            return own_cluster.settle(_task_runner(), cast("State[Any]", run_task_sync(**arguments)))

    async def run_async() -> State[Any]:
        with told():
            return own_cluster.settle(_task_runner(), cast("State[Any]", await run_task_async(**arguments)))

    return context.run_async(run_async, assets) if task.isasync else context.run(run_sync, assets)


def _task_runner() -> Any:
    return flow.task_runner if (flow := FlowRunContext.get()) is not None else None


def _sendable(state: State[Any]) -> State[Any]:
    """Return a state that arrives: an exception may not be picklable, or not come back from its pickle."""
    if not (state.is_failed() or state.is_crashed()):
        return state
    try:
        pickle.loads(cloudpickle.dumps(state))  # noqa: S301 - made in this line
    except Exception as error:
        original = state.message or "The task failed"
        data = RemoteTaskError(f"{original} (the exception itself can't travel: {error})")
        # With its time: Prefect's `model_copy` puts a marker of pydantic's in that place (seen in 3.8.8).
        return state.model_copy(update={"data": data, "timestamp": state.timestamp})
    return state
