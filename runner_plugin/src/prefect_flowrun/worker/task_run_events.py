"""What Prefect hears of a task run on a worker: of a short one only its end.

Prefect's engine sends three events for each task run: Pending, Running and the end. Recording them is most of what a
short task costs, and on a server that can't keep up task runs are lost. So the first two are held for a moment, and
dropped if the end follows: the end carries the task run with its start, its run count and its run time, which is all
that Prefect shows of it. What is missing then is the two earlier lines in its list of states.

Hooks into two names of Prefect's engine (3.6 to 3.8). Where they are not as expected, all is left to Prefect.
"""

from __future__ import annotations

import inspect
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import prefect.task_engine
import prefect.utilities.engine
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_KEY, PREFECT_API_URL

from prefect_flowrun.worker import event_sender
from prefect_flowrun.worker.composed_event import ComposedEvent

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State, TaskRun

HOLD_S = 0.1
LOOK_S = 0.03
_ENGINE_NAME = "emit_task_run_state_change_event"
_PARAMETERS = ["task_run", "initial_state", "validated_state", "follows"]

_concise: ContextVar[bool] = ContextVar("flowrun_concise_events", default=False)
_composed: ContextVar[list[dict[str, Any]] | None] = ContextVar("flowrun_composed_event", default=None)


@dataclass(frozen=True)
class Told:
    """Stands for an event that was told or held: what the next one needs to follow it."""

    id: UUID
    occurred: datetime


@dataclass(frozen=True)
class _Held:
    context: Context
    tell: Callable[[], None]
    due: float


class Holder:
    """Holds the first events of task runs for a moment."""

    def __init__(self) -> None:
        self._held: OrderedDict[UUID, list[_Held]] = OrderedDict()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._asleep = False

    def hold(self, task_run_id: UUID, tell: Callable[[], None]) -> None:
        """Tell in a moment, unless `drop` comes first.

        Args:
            task_run_id: the task run.
            tell: called in a copy of this context.
        """
        with self._changed:
            known = self._held.setdefault(task_run_id, [])
            due = known[0].due if known else time.monotonic() + HOLD_S
            known.append(_Held(copy_context(), tell, due))
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="flowrun-held-events", daemon=True)
                self._thread.start()
            elif self._asleep:
                self._changed.notify()

    def drop(self, task_run_id: UUID) -> bool:
        """Forget what is held of a task run.

        Args:
            task_run_id: the task run.

        Returns:
            Whether nothing was told of it: there was something, all of it held.
        """
        with self._changed:
            return self._held.pop(task_run_id, None) is not None

    def tell(self, task_run_id: UUID | None = None) -> None:
        """Tell now what is held.

        Args:
            task_run_id: of this task run; None means of all.
        """
        with self._changed:
            for each in [task_run_id] if task_run_id is not None else list(self._held):
                # While nobody can add to it: an end must not overtake it.
                for held in self._held.pop(each, []):
                    held.context.run(held.tell)

    def _watch(self) -> None:
        idle = False
        while True:
            with self._changed:
                # Where one short task follows the other, to be woken for each costs more than to look now and then.
                self._asleep = idle and not self._held
                if self._asleep:
                    self._changed.wait()
                    self._asleep = False
                now = time.monotonic()
                for task_run_id in [each for each, held in self._held.items() if held[0].due <= now]:
                    self.tell(task_run_id)
                idle = not self._held
            time.sleep(LOOK_S)


_holder = Holder()


def _forget_parent() -> None:
    """Begin anew in a process that a task has forked: threads did not come along."""
    global _holder  # noqa: PLW0603
    _holder = Holder()
    event_sender.forget()


os.register_at_fork(after_in_child=_forget_parent)


@contextmanager
def concise() -> Iterator[None]:
    """Have the task runs of this context told of concisely."""
    token = _concise.set(_install())
    try:
        yield
    finally:
        _concise.reset(token)


def drain(timeout: float) -> bool:
    """Send what is held and queued.

    Args:
        timeout: longest wait, in seconds.

    Returns:
        Whether all was sent in time.
    """
    _holder.tell()
    return event_sender.drain(timeout)


@cache
def _install() -> bool:
    """Hook into Prefect's engine; say whether that was possible."""
    engine, utilities = prefect.task_engine, prefect.utilities.engine
    prefects = getattr(engine, _ENGINE_NAME, None)
    if prefects is None or not hasattr(utilities, "emit_event"):
        return False
    if list(inspect.signature(prefects).parameters) != _PARAMETERS:
        return False
    setattr(engine, _ENGINE_NAME, partial(_tell_of_state, prefects))
    utilities.emit_event = partial(_emit_or_compose, utilities.emit_event)
    return True


def _emit_or_compose(prefects: Callable[..., Any], **arguments: Any) -> Any:
    """Stand in for `emit_event` in Prefect's engine: keep the arguments if somebody wants them."""
    into = _composed.get()
    if into is None:
        return prefects(**arguments)
    into.append(arguments)
    return None


def _tell_of_state(
    prefects: Callable[..., Any],
    task_run: TaskRun,
    initial_state: State[Any] | None,
    validated_state: State[Any],
    follows: Any = None,
) -> Any:
    """Stand in for Prefect's function of that name."""
    flow = FlowRunContext.get()
    if not _concise.get() or flow is None or flow.flow_run is None or not PREFECT_API_URL.value():
        return prefects(task_run, initial_state, validated_state, follows)
    told = Told(validated_state.id, validated_state.timestamp)
    if validated_state.is_final():
        # Nothing to follow if what came before is dropped: the server would wait for it.
        follows = None if _holder.drop(task_run.id) else follows
        _tell(prefects, task_run, initial_state, validated_state, follows)
    elif follows is None or (validated_state.is_running() and initial_state is not None and initial_state.is_pending()):
        seen = task_run.model_copy()  # the engine goes on with it
        _holder.hold(task_run.id, partial(_tell, prefects, seen, initial_state, validated_state, follows))
    else:
        # A retry, a pause: the whole story then.
        _holder.tell(task_run.id)
        _tell(prefects, task_run, initial_state, validated_state, follows)
    return told


def _tell(
    prefects: Callable[..., Any],
    task_run: TaskRun,
    initial_state: State[Any] | None,
    validated_state: State[Any],
    follows: Any,
) -> None:
    token = _composed.set([])
    try:
        prefects(task_run, initial_state, validated_state, follows)
        composed = _composed.get() or []
    finally:
        _composed.reset(token)
    for arguments in composed:
        outgoing = event_sender.Outgoing(
            event=ComposedEvent(arguments),
            flow=cast("FlowRunContext", FlowRunContext.get()),
            ends=task_run.id if validated_state.is_final() else None,
        )
        event_sender.sender((PREFECT_API_URL.value(), PREFECT_API_KEY.value())).send(outgoing)
