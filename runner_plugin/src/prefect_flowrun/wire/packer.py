"""What travels to a worker for one task. Knows no engine; `worker/run_task.py` is its other end.

    Envelope   versions of the driver, blobs (Prefect's context, the task, large parameters), the call
    Call       parameters and the rest of the arguments of Prefect's task engine

Futures in the parameters are replaced while they are pickled, wherever they are: one of this cluster becomes the number
of an upstream, whose state the engine hands to the worker beside the payload; any other is waited for and travels with
its state. On the worker both are futures again, which have ended.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.context import AssetContext, FlowRunContext
from prefect.futures import PrefectFuture
from prefect.utilities.annotations import BaseAnnotation
from prefect.utilities.engine import collect_task_run_inputs_sync

from prefect_flowrun.wire.context import Contexts, Tasks
from prefect_flowrun.wire.envelope import Envelope
from prefect_flowrun.wire.flow_code import FlowCode
from prefect_flowrun.wire.large_parameters import LargeValues
from prefect_flowrun.wire.pickler import Pickler
from prefect_flowrun.wire.resolved_futures import arrived_future, upstream_future
from prefect_flowrun.wire.shared_blobs import ALONG_BYTES, Blob, Manifest, Shelf

if TYPE_CHECKING:
    from prefect.client.schemas.objects import RunInput
    from prefect.tasks import Task

    from prefect_flowrun.wire.versions import Versions

# Above this it is worth looking for parameters that other tasks share.
LARGE_BYTES = 64 * 2**10


@dataclass
class Packed:
    """The payload of a task, and what must follow it."""

    payload: bytes
    parcels: list[Any]
    upstream: list[Any]
    lost_task_retries: int
    """How often the task may start again after a lost worker."""


OnCluster = Callable[[PrefectFuture[Any]], Any]
"""Returns the engine's own handle of a future whose outcome stays on the cluster; None for any other future."""


class Upstream:
    """The futures that a task's parameters wait for."""

    def __init__(self, on_cluster: OnCluster) -> None:
        self._on_cluster = on_cluster
        self._index_of: dict[UUID, int] = {}
        self.futures: list[Any] = []

    def reduce(self, future: PrefectFuture[Any]) -> tuple[Any, ...]:
        """Say how a future is to be pickled.

        Args:
            future: found somewhere in the parameters.
        """
        if (handle := self._on_cluster(future)) is not None:
            index = self._index_of.setdefault(future.task_run_id, len(self.futures))
            if index == len(self.futures):
                self.futures.append(handle)
            return upstream_future, (future.task_run_id, index)
        # A future of another runner (threads, another cluster of the run) means nothing to this engine.
        future.wait()
        return arrived_future, (future.task_run_id, future.state)


class _Pickler(Pickler):
    def __init__(self, file: io.BytesIO, upstream: Upstream) -> None:
        super().__init__(file)
        self._upstream = upstream

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, PrefectFuture):
            return self._upstream.reduce(obj)
        if isinstance(obj, BaseAnnotation):
            # A tuple with a constructor of its own: its stock pickle comes back with one more tuple around the value.
            return type(obj), (obj.unwrap(),)
        return super().reducer_override(obj)


@dataclass
class Packer:
    """Makes the payloads of one runner on one connection."""

    on_cluster: OnCluster
    shelf: Shelf
    versions: Versions
    lost_task_retries: int | None
    contexts: Contexts
    tasks: Tasks = field(default_factory=Tasks)
    large: LargeValues = field(default_factory=LargeValues)
    all_events: bool = False
    code: FlowCode = field(default_factory=FlowCode)
    redirect: str | None = None

    def pack(
        self,
        task: Task[..., Any],
        task_run_id: UUID,
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None,
        dependencies: dict[str, set[RunInput]] | None,
    ) -> Packed:
        """Make the payload of one task.

        Args:
            task: the task.
            task_run_id: the id that the worker will give the task run.
            parameters: of the call, futures included.
            wait_for: further futures to wait for.
            dependencies: inputs found by the caller, e.g. `map`, by parameter.
        """
        upstream = Upstream(self.on_cluster)
        manifest = Manifest()
        inputs = _inputs(parameters, dependencies)
        call = {
            "task_run_id": task_run_id,
            "parameters": parameters,
            "wait_for": _kept(wait_for),
            "dependencies": inputs,
            "assets": _assets(task, task_run_id, parameters, inputs),
        }
        data, large = self._split(call, upstream)
        flow = FlowRunContext.get()
        envelope = Envelope(
            versions=self.versions,
            task_run_id=task_run_id,
            flow_run_id=flow.flow_run.id if flow is not None and flow.flow_run is not None else None,
            lost_task_retries=(task.retries or 0) if self.lost_task_retries is None else self.lost_task_retries,
            context=self._add(manifest, self.contexts.current()),
            task=self._add(manifest, self.tasks.get(task)),
            blobs=manifest.entries,
            call=self._add_own(manifest, Blob(data)),
            large={name: self._add(manifest, blob) for name, blob in large.items()},
            code=self._code(manifest),
            redirect=self.redirect,
            all_events=self.all_events,
        )
        return Packed(envelope.to_bytes(), manifest.parcels, upstream.futures, envelope.lost_task_retries)

    def _split(self, call: dict[str, Any], upstream: Upstream) -> tuple[bytes, dict[str, Blob]]:
        """Serialise a call without its large parameters, and those apart; each of them once."""
        parameters = call["parameters"]
        large = self.large.known(parameters)
        call["parameters"] = _without(parameters, large)
        try:
            return _dumps(call, upstream, _UpTo(LARGE_BYTES)), large
        except _TooManyError:
            pass
        large |= self.large.find(
            call["parameters"], lambda value: _dumps_without_futures(value, self.on_cluster), LARGE_BYTES
        )
        call["parameters"] = _without(parameters, large)
        return _dumps(call, upstream), large

    def _code(self, manifest: Manifest) -> tuple[tuple[str, ...], int | None, int | None]:
        archive, changes = self.code.archive(), self.code.changes()
        return (
            self.code.paths(),
            # Put on the cluster at once: a first task that carries it would be a large message.
            None
            if archive is None
            else manifest.add(archive, self.shelf.parcel(archive) or self.shelf.parcel(archive)),
            None if changes is None else self._add(manifest, changes),
        )

    def _add(self, manifest: Manifest, blob: Blob) -> int:
        return manifest.add(blob, self.shelf.parcel(blob))

    def _add_own(self, manifest: Manifest, blob: Blob) -> int:
        """Add what no other task needs."""
        return manifest.add(blob, self.shelf.parcel(blob) if len(blob.data) > ALONG_BYTES else None)


class _TooManyError(Exception):
    """More was written than is wanted here."""


class _UpTo(io.BytesIO):
    """Takes so many bytes, and no more: a large value is not copied only to see how large it is."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > self._limit:
            raise _TooManyError
        return super().write(data)


class _FuturesError(Exception):
    """There are futures where there should be none."""


def _kept(wait_for: Any) -> Any:
    """Return what a task waits for in a form that travels: as it is, since Prefect finds futures and annotations in it.

    An annotation is a tuple and may stand around anything (prefect-dask#43); only what can be gone through once, such
    as a generator, becomes a list.
    """
    return list(wait_for) if isinstance(wait_for, Iterator) else wait_for


def _without(parameters: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name not in names} if names else parameters


def _dumps(value: Any, upstream: Upstream, file: io.BytesIO | None = None) -> bytes:
    file = file or io.BytesIO()
    _Pickler(file, upstream).dump(value)
    return file.getvalue()


def _dumps_without_futures(value: Any, on_cluster: OnCluster) -> bytes | None:
    """Pickle a value that other tasks may share; None if it holds futures, whose numbers differ from task to task."""

    def no_futures(future: PrefectFuture[Any]) -> None:
        if on_cluster(future) is not None:
            raise _FuturesError

    try:
        return _dumps(value, Upstream(no_futures))
    except _FuturesError:
        return None


def _inputs(
    parameters: dict[str, Any], dependencies: dict[str, set[RunInput]] | None
) -> dict[str, set[RunInput]] | None:
    """Collect the edges that only this process knows: those by the identity of results of tasks that it ran itself.

    The worker finds futures and states by itself. Looking through large parameters costs, so only when there are any.
    """
    flow = FlowRunContext.get()
    inputs = {name: set(found) for name, found in (dependencies or {}).items() if found}
    if flow is not None and flow.run_results:
        for name, value in parameters.items():
            if found := collect_task_run_inputs_sync(value):
                inputs[name] = inputs.get(name, set()) | found
    return inputs or None


def _assets(
    task: Task[..., Any], task_run_id: UUID, parameters: dict[str, Any], inputs: dict[str, set[RunInput]] | None
) -> dict[str, Any] | None:
    """Work out the assets that a task depends on and makes; only the driver knows those of the tasks before it."""
    flow = FlowRunContext.get()
    if not (task.asset_deps or getattr(task, "assets", None) or (flow is not None and flow.task_run_assets)):
        return None
    every: dict[str, set[RunInput]] = {
        name: set(collect_task_run_inputs_sync(value)) for name, value in parameters.items()
    }
    for name, found in (inputs or {}).items():
        every[name] = every.get(name, set()) | found
    context = AssetContext.from_task_and_inputs(task, task_run_id, every, copy_to_child_ctx=True)
    serialized: dict[str, Any] = context.serialize()
    return serialized
