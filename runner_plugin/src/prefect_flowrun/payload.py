"""What travels to a worker for one task, and what the worker does with it. Knows no engine.

Futures inside the parameters become placeholders, and the engine futures behind them travel beside the payload: so the
engine waits for them, and hands the worker their results, which are Prefect states.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import cloudpickle
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext, serialize_context
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_engine import run_task_async, run_task_sync
from prefect.utilities.annotations import quote
from prefect.utilities.collections import StopVisiting, visit_collection
from prefect.utilities.engine import collect_task_run_inputs_sync

from prefect_flowrun.futures import ClusterFuture

if TYPE_CHECKING:
    from prefect.client.schemas.objects import RunInput
    from prefect.tasks import Task

    from prefect_flowrun.engines.base import Engine, EngineFuture


@dataclass(frozen=True)
class Placeholder:
    """Stands in a parameter for the state of the upstream future with this index."""

    index: int


class Upstream:
    """Swaps Prefect futures for placeholders and collects the engine futures behind them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._index_of: dict[UUID, int] = {}
        self.futures: list[EngineFuture] = []

    def replace(self, expression: Any) -> Any:
        """Return the expression with every future replaced.

        Args:
            expression: parameters or `wait_for`, nested at will.
        """
        return visit_collection(expression, self._visit, return_data=True)

    def _visit(self, value: Any) -> Any:
        if isinstance(value, (State, quote)):
            # A state may hold large data and no futures; a quoted value is none of our business.
            raise StopVisiting
        if not isinstance(value, PrefectFuture):
            return value
        if isinstance(value, ClusterFuture) and value.engine is self._engine:
            return self._placeholder(value)
        # A future of another runner (threads, another cluster of the run) means nothing to this engine.
        value.wait()
        return value.state

    def _placeholder(self, future: ClusterFuture[Any]) -> Placeholder:
        index = self._index_of.setdefault(future.task_run_id, len(self.futures))
        if index == len(self.futures):
            self.futures.append(future.wrapped_future)
        return Placeholder(index)


def pack(
    engine: Engine,
    task: Task[..., Any],
    task_run_id: UUID,
    parameters: dict[str, Any],
    wait_for: Iterable[PrefectFuture[Any]] | None,
    dependencies: dict[str, set[RunInput]] | None,
) -> tuple[bytes, list[EngineFuture]]:
    """Make the payload of one task.

    Args:
        engine: where the task will run; only its own futures can travel.
        task: the task.
        task_run_id: the id that the worker will give the task run.
        parameters: of the call, futures included.
        wait_for: further futures to wait for.
        dependencies: inputs found by the caller, e.g. `map`, by parameter.

    Returns:
        The payload, and the engine futures whose results must follow it to the worker.
    """
    # Collected here, not on the worker: an edge that rests on the identity of a result object is only known here.
    inputs: dict[str, set[RunInput]] = {
        name: set(collect_task_run_inputs_sync(value)) for name, value in parameters.items()
    }
    for name, found in (dependencies or {}).items():
        inputs[name] = inputs.get(name, set()) | found
    upstream = Upstream(engine)
    call = {
        "task": task,
        "task_run_id": task_run_id,
        "parameters": upstream.replace(parameters),
        "wait_for": upstream.replace(wait_for),
        "dependencies": inputs,
        "context": _context(task, task_run_id, inputs),
        "return_type": "state",
    }
    return cloudpickle.dumps(call), upstream.futures


def _context(task: Task[..., Any], task_run_id: UUID, inputs: dict[str, set[RunInput]]) -> dict[str, Any]:
    asset = {"task": task, "task_run_id": task_run_id, "task_inputs": inputs, "copy_to_child_ctx": True}
    flow = FlowRunContext.get()
    if flow is None or PREFECT_API_URL.value():
        return serialize_context(asset_ctx_kwargs=asset)
    # On a laptop without a server Prefect has started one for this process. Workers must use that one: without an
    # address each would start its own.
    with temporary_settings({PREFECT_API_URL: str(flow.client.api_url)}):
        return serialize_context(asset_ctx_kwargs=asset)


def run(payload: bytes, *states: State[Any]) -> State[Any]:
    """Run the task of a payload through Prefect's task engine. Called on the worker.

    Args:
        payload: made by `pack`.
        states: final states of the upstream task runs, in the order of the futures that `pack` returned.

    Returns:
        The final state of the task run.
    """
    call = cloudpickle.loads(payload)
    call["parameters"] = restore(call["parameters"], states)
    call["wait_for"] = restore(call["wait_for"], states)
    if call["task"].isasync:
        return cast("State[Any]", asyncio.run(run_task_async(**call)))
    return cast("State[Any]", run_task_sync(**call))


def restore(expression: Any, states: tuple[State[Any], ...]) -> Any:
    """Put states where placeholders are.

    Args:
        expression: as `Upstream.replace` left it.
        states: by index of the placeholder.
    """

    def visit(value: Any) -> Any:
        if isinstance(value, (State, quote)):
            raise StopVisiting
        return states[value.index] if isinstance(value, Placeholder) else value

    visit_fn: Callable[[Any], Any] = visit
    return visit_collection(expression, visit_fn, return_data=True)
