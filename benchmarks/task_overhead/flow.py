"""The rows with Prefect: one flow, whose task runner is the row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prefect import flow, task
from prefect.context import FlowRunContext
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from task_overhead import work
from task_overhead.measure import measure
from task_overhead.order import Order
from task_overhead.rows import CLUSTER


class PrefectCalls:
    """Tasks of the flow around."""

    def __init__(self) -> None:
        functions = (work.trivial, work.size, work.step, work.nap)
        self._tasks: dict[Any, Any] = {function: task(function) for function in functions}
        self._tasks[work.speak] = task(work.speak, log_prints=True)

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._tasks[function].submit(*args)

    def map(self, function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        return list(self._tasks[function].map(list(items)))

    def results(self, futures: list[Any]) -> list[Any]:
        return [future.result() for future in futures]


def runner(row: str, address: str) -> TaskRunner[Any]:
    """Make the task runner of a row.

    Args:
        row: its name.
        address: of the cluster's coordinator; ours finds it in the environment, as in a FlowRun.
    """
    if row == "prefect-dask":
        from prefect_dask import DaskTaskRunner  # noqa: PLC0415 - a row imports what is its own

        return DaskTaskRunner(address=address)
    if row == "prefect-ray":
        from prefect_ray import RayTaskRunner  # noqa: PLC0415

        return RayTaskRunner(address=address)
    if row == "threads":
        return ThreadPoolTaskRunner()
    from prefect_flowrun import ClusterTaskRunner  # noqa: PLC0415

    if row == "ours-ray":
        _declare_ray_ready()
    return ClusterTaskRunner(engine=row.removeprefix("ours-"))


def _declare_ray_ready() -> None:
    """Say what the head of a FlowRun says when it is up; the one here, started by `ray start`, is."""
    from prefect_flowrun.engines.ray import settings  # noqa: PLC0415

    ready = settings.ready_file(CLUSTER)
    ready.parent.mkdir(parents=True, exist_ok=True)
    ready.touch()


# Every task carries the flow and its parameters along: so they are small, and all else is read from a file.
@flow(name="bench")
def bench(order_file: str) -> None:
    """Measure what the order asks for, and answer before the flow ends."""
    context = FlowRunContext.get()
    assert context is not None and context.flow_run is not None
    measure(PrefectCalls(), Order.read(order_file), str(context.flow_run.id))
