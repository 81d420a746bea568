import inspect
import threading
from contextvars import ContextVar
from uuid import uuid4

import prefect.task_engine
import prefect.utilities.engine
import pytest

from prefect_flowrun.worker import task_run_events
from prefect_flowrun.worker.task_run_events import Holder

variable: ContextVar[str] = ContextVar("variable", default="unset")
LIMIT_S = 30


def test_what_prefect_s_engine_calls_is_as_expected():
    """If this fails with a new Prefect, its own events are used: slower, but right."""
    engine = getattr(prefect.task_engine, task_run_events._ENGINE_NAME)
    function = getattr(engine, "func", engine)
    expected = [*(["prefects"] if function is not engine else []), *task_run_events._PARAMETERS]
    assert list(inspect.signature(function).parameters) == expected
    assert callable(prefect.utilities.engine.emit_event)


def test_what_is_held_is_told_in_order_and_in_its_own_context_when_nothing_follows():
    holder, told, done = Holder(), [], threading.Event()
    task_run = uuid4()
    variable.set("pending")
    holder.hold(task_run, lambda: told.append(variable.get()))
    variable.set("running")
    holder.hold(task_run, lambda: (told.append(variable.get()), done.set()))
    assert done.wait(LIMIT_S)
    assert told == ["pending", "running"]
    assert not holder.drop(task_run)


def test_what_is_dropped_is_never_told():
    holder, told, done = Holder(), [], threading.Event()
    short, other = uuid4(), uuid4()
    holder.hold(short, lambda: told.append("short"))
    assert holder.drop(short)
    holder.hold(other, done.set)
    assert done.wait(LIMIT_S)
    assert told == []


def test_what_is_held_can_be_told_at_once():
    holder, told = Holder(), []
    for name in ("one", "two"):
        holder.hold(uuid4(), lambda name=name: told.append(name))
    holder.tell()
    assert told == ["one", "two"]


@pytest.mark.parametrize("missing", ["engine", "emit_event", "parameters"])
def test_a_prefect_with_other_insides_is_left_alone(monkeypatch, missing):
    if missing == "engine":
        monkeypatch.delattr(prefect.task_engine, task_run_events._ENGINE_NAME)
    elif missing == "emit_event":
        monkeypatch.delattr(prefect.utilities.engine, "emit_event")
    else:
        monkeypatch.setattr(prefect.task_engine, task_run_events._ENGINE_NAME, lambda task_run, state: None)
    assert not task_run_events._install.__wrapped__()
