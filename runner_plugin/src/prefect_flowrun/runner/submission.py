"""The tasks of one flow run on one cluster, from the first submit to the last repair."""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.context import FlowRunContext

from prefect_flowrun import startup_timeline
from prefect_flowrun.engines.base import Call, EngineFuture
from prefect_flowrun.engines.needs import needs_of
from prefect_flowrun.records import completeness, task_run
from prefect_flowrun.records.repairs import Repairs
from prefect_flowrun.runner import progress
from prefect_flowrun.runner.futures import ClusterFuture, on_cluster
from prefect_flowrun.runner.prefect_dask.future import future_class
from prefect_flowrun.runner.prefect_ray import settings as ray_settings
from prefect_flowrun.wire import by_value, versions
from prefect_flowrun.wire.context import Contexts
from prefect_flowrun.wire.flow_code import FlowCode
from prefect_flowrun.wire.packer import Packer

if TYPE_CHECKING:
    import logging

    from prefect.client.schemas.objects import FlowRun, RunInput, State
    from prefect.futures import PrefectFuture
    from prefect.tasks import Task

    from prefect_flowrun.engines.needs import Needs
    from prefect_flowrun.runner.connections import Connection
    from prefect_flowrun.wire.large_parameters import LargeValues

# Made of runners, so above this; in a process that redirects nothing it is not even imported.
_REDIRECT = "prefect_flowrun.runner.redirect"
DRAIN_TIMEOUT_S = 10.0
REPAIR_TIMEOUT_S = 10.0
# A server that takes one lost task run after the other is waited for; one that takes none for so long is not.
REPAIR_PATIENCE_S = 30.0
# When the process is being ended there is a second or so in all.
HURRIED_REPAIR_TIMEOUT_S = 0.7
_GIVEN_UP = "The flow run ended before this task run did"


@dataclass(frozen=True)
class _Outstanding:
    task: Task[..., Any]
    future: EngineFuture
    parcels: Sequence[Any]
    """Held until the task has had its use of them: the cluster drops what nobody here holds."""


class Session:
    """Submits tasks, holds on to those that have not ended, and leaves nothing of them in a wrong state."""

    def __init__(
        self,
        connection: Connection,
        large: LargeValues,
        logger: logging.Logger | logging.LoggerAdapter[Any],
        counter: progress.Counter,
        *,
        lost_task_retries: int | None,
        all_events: bool,
        needs: Needs | None = None,
        with_secrets: bool,
        nested: bool = False,
    ) -> None:
        """Begin with no tasks.

        Args:
            connection: to the cluster.
            large: large parameters of the runner.
            logger: of the runner.
            counter: of the runner; counts the tasks of all its sessions.
            lost_task_retries: option of the runner.
            all_events: option of the runner.
            needs: of tasks that say nothing else.
            with_secrets: whether the workers need the driver's API key.
            nested: whether it is a task that submits: the workers' logs are the flow's concern then.
        """
        self._engine = connection.engine
        self._nested = nested
        self._futures = connection.futures
        self._logger = logger
        self._needs = needs
        self._left_out: set[str] = set()
        self._packer = Packer(
            on_cluster=partial(on_cluster, connection.engine),
            shelf=connection.shelf,
            versions=versions.collect(connection.engine.package),
            lost_task_retries=lost_task_retries,
            all_events=all_events,
            contexts=Contexts(with_secrets=with_secrets),
            tasks=connection.tasks,
            large=large,
            code=FlowCode(connection.sent_folder(), once=connection.sends_once),
            redirect=redirect.installed() if (redirect := sys.modules.get(_REDIRECT)) is not None else None,
        )
        by_value.register()
        # Engines forget a task when the last future of it goes: held until done, or a flow that drops them loses them.
        self._outstanding: dict[UUID, _Outstanding] = {}
        self._cancelled: dict[UUID, _Outstanding] = {}
        self._ends = completeness.Ends()
        self._counter = counter
        self._flow_run: FlowRun | None = None
        # Of the flow: its settings say where Prefect's API is.
        self._context = copy_context()
        self._repairs = Repairs()
        self._ending = threading.Event()
        connection.count_with(self)

    @property
    def outstanding(self) -> int:
        """Tasks that have not ended."""
        return len(self._outstanding)

    @property
    def flow_run(self) -> FlowRun | None:
        """The flow run that submits here; None before the first submit."""
        return self._flow_run

    def submit(
        self,
        task: Task[..., Any],
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None,
        dependencies: dict[str, set[RunInput]] | None,
    ) -> ClusterFuture[Any]:
        """Start a task; see `ClusterTaskRunner.submit`."""
        if self._flow_run is None and (flow := FlowRunContext.get()) is not None:
            self._flow_run = flow.flow_run
            self._context = copy_context()
        task_run_id = _new_id()
        packed = self._packer.pack(task, task_run_id, parameters, wait_for, dependencies)
        startup_timeline.mark("first task packed")
        call = Call(
            key=_key(task, task_run_id),
            payload=packed.payload,
            parcels=packed.parcels,
            upstream=packed.upstream,
            needs=self._needs_of(task),
            lost_task_retries=packed.lost_task_retries,
        )
        future = self._engine.submit(call)
        startup_timeline.mark("first task submitted")
        self._counter.add(submitted=1)
        self._outstanding[task_run_id] = _Outstanding(task, future, packed.parcels)
        future.add_done_callback(partial(self._ended, task_run_id))
        cluster_future = future_class(self._engine.name)(task_run_id, future, self._engine)
        self._futures.add(cluster_future)
        return cluster_future

    def in_flow_context(self, function: Callable[[], None]) -> None:
        """Call a function with the flow's settings, which its runner has left by now.

        Args:
            function: speaks to the flow's Prefect.
        """
        self._context.copy().run(function)

    def _needs_of(self, task: Task[..., Any]) -> Needs | None:
        options = ray_settings.remote_options()
        if not options:
            return needs_of(task, below=self._needs)
        for name, reason in ray_settings.left_out(options, self._engine.name).items():
            if name not in self._left_out:
                self._left_out.add(name)
                self._logger.warning("remote_options(%s=...) is left out: %s", name, reason)
        return needs_of(task, below=self._needs, above=ray_settings.needs_from(options))

    def wait(self, timeout: float | None) -> None:
        """Wait for what the flow did not wait for.

        Args:
            timeout: seconds; what has not ended then is cancelled. None waits without limit.
        """
        futures = [each.future for each in self._unfinished().values()]
        if not futures:
            return
        submitter = "task" if self._nested else "flow"
        self._logger.info("Waiting for %d task run(s) that the %s did not wait for", len(futures), submitter)
        if left := self._engine.wait(futures, timeout):
            self._logger.warning("%d task run(s) did not end within %g s (exit_timeout_s)", left, timeout)
            self.cancel()

    def cancel(self) -> None:
        """Cancel what has not ended."""
        # Those that end in this moment are taken out, and counted, by `_ended`.
        left = {key: each for key in self._unfinished() if (each := self._outstanding.pop(key, None)) is not None}
        if not left:
            return
        self._logger.info("Cancelling %d outstanding task run(s)", len(left))
        self._cancelled.update(left)
        self._counter.add(ended=len(left))
        self._engine.cancel([each.future for each in left.values()])

    def close(self, *, hurried: bool = False) -> None:
        """Have the workers send what they still hold, and set right what Prefect has recorded.

        Args:
            hurried: whether the process is being ended: then there is no time to wait for workers.
        """
        # Every step is taken, whatever becomes of the others; the last one given is the first.
        with ExitStack() as steps:
            if not hurried and not self._nested:
                steps.callback(self._see_recorded)
            steps.callback(self._finish_repairs, hurried=hurried)
            steps.callback(self._close_cancelled, hurried=hurried)
            self._note_what_has_ended()

    def _note_what_has_ended(self) -> None:
        """Note the ends that the engine's threads have not told of yet; what they tell from now on is too late."""
        for task_run_id, each in list(self._outstanding.items()):
            if each.future.done():
                self._ended(task_run_id)
        self._ending.set()

    def _close_cancelled(self, *, hurried: bool) -> None:
        # First what the workers know: Prefect may not have heard yet that a task has begun.
        asks = not hurried and (self._cancelled or not self._nested)
        running = self._engine.drain(DRAIN_TIMEOUT_S) if asks else set()
        if not self._cancelled or self._flow_run is None:
            return
        tasks = {run: each.task for run, each in self._cancelled.items()}
        timeout = HURRIED_REPAIR_TIMEOUT_S if hurried else REPAIR_TIMEOUT_S
        if not task_run.close_given_up(self._flow_run.id, tasks, running, _GIVEN_UP, timeout):
            self._logger.warning("The end of %d cancelled task run(s) could not be reported to Prefect", len(tasks))

    def _finish_repairs(self, *, hurried: bool) -> None:
        if missed := self._repairs.close(REPAIR_PATIENCE_S, hurried=hurried):
            self._logger.warning("%d lost task run(s) could not be reported to Prefect", missed)

    def _see_recorded(self) -> None:
        if self._flow_run is not None:
            self._ends.see_recorded(self._flow_run, self._known_states, self._logger)

    def _known_states(self, wanted: Mapping[UUID, Task[..., Any]]) -> dict[UUID, State[Any]]:
        run_of = {_key(task, task_run_id): task_run_id for task_run_id, task in wanted.items()}
        return {run_of[key]: brief.state() for key, brief in self._engine.briefs(run_of).items()}

    def _unfinished(self) -> dict[UUID, _Outstanding]:
        # Of a copy: tasks end meanwhile, in threads of the engine's.
        return {key: each for key, each in list(self._outstanding.items()) if not each.future.done()}

    def _ended(self, task_run_id: UUID) -> None:
        """Note the end of a task; called by the engine."""
        outstanding = self._outstanding.pop(task_run_id, None)
        if outstanding is None:
            return  # cancelled
        message = outstanding.future.given_up()
        if message is None and (failure := outstanding.future.failure()) is not None:
            message = self._engine.describe_loss(failure)
        self._counter.add(ended=1, lost=message is not None)
        if message is None:
            self._ends.add(task_run_id, outstanding.task)
        if message is not None and not self._ending.is_set():
            self._repairs.add(self._context, outstanding.task, task_run_id, self._flow_run, message)


# uuid4() asks the kernel, and gives the interpreter away to the engine's own thread each time: a quarter of a submit.
_random = random.Random()  # noqa: S311 - seeded by the kernel; ids, no secrets
os.register_at_fork(after_in_child=_random.seed)


def _key(task: Task[..., Any], task_run_id: UUID) -> str:
    return f"{task.name}-{task_run_id}"


def _new_id() -> UUID:
    return UUID(int=_random.getrandbits(128), version=4)
