"""Prefect's context and the task are serialised again when something in them has changed, and not otherwise."""

from __future__ import annotations

import contextvars
import pickle
import threading
from enum import Enum

import pytest
from prefect import flow, tags, task
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_KEY,
    PREFECT_API_URL,
    PREFECT_LOGGING_LEVEL,
    temporary_settings,
)

from prefect_flowrun.wire.context import Cache, Contexts, Tasks

# Its flows and tasks are to travel by name.
pytestmark = pytest.mark.usefixtures("importable")

FACTOR = 2
ROWS = [1, 2]


class Colour(Enum):
    RED = 1


@pytest.fixture
def contexts():
    return Contexts(with_secrets=False)


def content(blob):
    return pickle.loads(blob.data)


# The context


def test_the_same_context_is_serialised_once(contexts):
    assert contexts.current() is contexts.current()


def test_in_another_thread_of_the_flow_too(contexts):
    blobs = [contexts.current()]
    copy = contextvars.copy_context()
    thread = threading.Thread(target=copy.run, args=(lambda: blobs.append(contexts.current()),))
    thread.start()
    thread.join()
    assert blobs[0] is blobs[1]


def test_other_tags_are_another_context_and_equal_tags_the_same(contexts):
    plain = contexts.current()
    with tags("a", "b"):
        tagged = contexts.current()
        with tags("c"):
            assert set(content(contexts.current())["tags_context"]["current_tags"]) == {"a", "b", "c"}
    with tags("b", "a"):
        assert contexts.current() is tagged
    assert tagged.digest != plain.digest
    assert contexts.current() is plain


def test_other_settings_are_another_context(contexts):
    plain = contexts.current()
    with temporary_settings({PREFECT_LOGGING_LEVEL: "ERROR"}):
        changed = contexts.current()
    assert content(changed)["settings_context"]["settings"]["logging"]["level"] == "ERROR"
    assert contexts.current() is plain
    assert plain.digest != changed.digest


@pytest.mark.parametrize("with_secrets", [True, False])
def test_secrets_travel_only_to_workers_that_have_none_of_their_own(with_secrets):
    contexts = Contexts(with_secrets=with_secrets)
    with temporary_settings({PREFECT_API_KEY: "the-key-itself", PREFECT_API_AUTH_STRING: "name:word-itself"}):
        data = contexts.current().data
    assert (b"the-key-itself" in data) is with_secrets
    assert (b"word-itself" in data) is with_secrets


def test_what_belongs_to_the_drivers_host_stays_there_and_the_api_travels(contexts):
    with temporary_settings({PREFECT_API_URL: "http://prefect.example/api"}):
        settings = content(contexts.current())["settings_context"]["settings"]
    assert not {"home", "profiles_path", "server"} & set(settings)
    assert settings["api"]["url"] == "http://prefect.example/api"


CONTEXTS: list[Contexts] = []
SEEN = {}


def see(name):
    """Note the context of the caller. Not a closure: flows and tasks are pickled with what they capture."""
    SEEN[name] = CONTEXTS[-1].current()
    assert CONTEXTS[-1].current() is SEEN[name]


@task
def around(name):
    see(name)


@flow
def inner():
    see("subflow")


@flow
def outer():
    see("flow")
    around("task")
    around("another run of the task")
    inner()
    see("flow again")


def test_flow_runs_and_the_tasks_around_a_submit_are_contexts_of_their_own(prefect_server, contexts):
    CONTEXTS.append(contexts)
    with temporary_settings({PREFECT_API_URL: prefect_server.url}):
        outer()
    assert SEEN.pop("flow again") is SEEN["flow"]
    assert set(SEEN) == {"flow", "task", "another run of the task", "subflow"}
    assert len({blob.digest for blob in SEEN.values()}) == 4
    assert content(SEEN["task"])["task_run_context"]["task_run"]["name"].startswith("around")
    assert content(SEEN["flow"])["task_run_context"] == {}


def test_few_contexts_are_kept_but_the_one_in_use_is(monkeypatch):
    monkeypatch.setattr("prefect_flowrun.wire.context._KEPT", 2)
    cache = Cache()
    a, b, c = ["a"], ["b"], ["c"]
    first = cache.get((a,), lambda: b"a")
    cache.get((b,), lambda: b"b")
    assert cache.get((a,), pytest.fail) is first
    cache.get((c,), lambda: b"c")
    assert cache.get((a,), pytest.fail) is first
    assert cache.get((b,), lambda: b"again").data == b"again"


def test_a_part_that_is_gone_is_not_mistaken_for_one_that_got_its_address():
    cache = Cache()
    for number in range(50):
        part = [number]
        assert cache.get((part,), lambda number=number: bytes([number])).data == bytes([number])
        del part


# The task


@task
def scale(value):
    return FACTOR * value


def run(blob, *args):
    return content(blob).fn(*args)


def test_a_task_is_serialised_once():
    kept = Tasks()
    assert kept.get(scale) is kept.get(scale)
    assert run(kept.get(scale), 3) == 6


def test_an_attribute_that_was_set_is_noticed():
    kept, mine = Tasks(), scale.with_options()
    kept.get(mine)
    mine.retries = 5
    assert content(kept.get(mine)).retries == 5


def test_a_copy_with_other_options_is_another_task():
    kept = Tasks()
    kept.get(scale)
    assert content(kept.get(scale.with_options(name="renamed"))).name == "renamed"


def notebook(code, **names):
    """Return a task of a cell, whose function travels by value with the names that it uses."""
    cell = {"__name__": "__main__", "task": task, **names}
    exec(f"@task\ndef work(value=None):\n    return {code}", cell)
    return cell["work"], cell


@pytest.mark.parametrize("code", ["value * FACTOR", "sum(each * FACTOR for each in [value])"])
def test_a_global_that_was_bound_anew_is_noticed(code):
    kept = Tasks()
    work, cell = notebook(code, FACTOR=2)
    before = kept.get(work)
    cell["FACTOR"] = 10
    after = kept.get(work)
    cell["FACTOR"] = 2
    assert [run(blob, 3) for blob in (before, after)] == [6, 30]
    assert kept.get(work) is before


def test_a_global_that_the_task_does_not_use_does_not_matter(monkeypatch):
    kept = Tasks()
    before = kept.get(scale)
    monkeypatch.setitem(globals(), "ROWS", [1])
    assert kept.get(scale) is before


def test_a_global_that_was_changed_in_place_is_noticed():
    kept = Tasks()
    work, cell = notebook("len(ROWS)", ROWS=[1, 2, 3])
    before = kept.get(work)
    cell["ROWS"].pop()
    assert [run(before), run(kept.get(work))] == [3, 2]


def test_a_closure_variable_that_was_bound_anew_or_changed_in_place_is_noticed():
    kept = Tasks()
    offset, rates = 1, {"x": 1}

    @task
    def shifted(value):
        return rates["x"] * value + offset

    @task
    def shifted_all(values):
        return [rates["x"] * value + offset for value in values]

    assert (run(kept.get(shifted), 5), run(kept.get(shifted_all), [5])) == (6, [6])
    offset = 2
    assert (run(kept.get(shifted), 5), run(kept.get(shifted_all), [5])) == (7, [7])
    rates["x"] = 10
    assert (run(kept.get(shifted), 5), run(kept.get(shifted_all), [5])) == (52, [52])


def test_a_global_changed_in_place_that_only_a_comprehension_uses_is_noticed(monkeypatch):
    kept, rates = Tasks(), {"x": 1}
    monkeypatch.setitem(globals(), "RATES", rates)

    @task
    def scaled(values):
        return [RATES["x"] * value for value in values]  # noqa: F821 - set above

    assert run(kept.get(scaled), [5]) == [5]
    rates["x"] = 3
    assert run(kept.get(scaled), [5]) == [15]


def test_a_function_that_was_defined_again_is_noticed():
    kept = Tasks()

    def helper():
        return 1

    @task
    def use():
        return helper()

    assert run(kept.get(use)) == 1

    def helper():  # noqa: F811 - bound anew, which is what must be seen
        return 2

    assert run(kept.get(use)) == 2


def test_defaults_that_were_changed_in_place_are_noticed():
    kept = Tasks()

    @task
    def first(values=[1]):  # noqa: B006 - users do
        return values[0]

    assert run(kept.get(first)) == 1
    first.fn.__defaults__[0][0] = 2
    assert run(kept.get(first)) == 2


def test_what_never_changes_spares_the_serialising():
    kept, colour, other = Tasks(), Colour.RED, scale

    @task
    def use():
        return colour, other, pickle.dumps, threading

    assert kept.get(use) is kept.get(use)


def test_a_task_of_an_object_that_can_be_called_is_serialised_each_time():
    class Scaler:
        factor = 2

        def __init__(self):
            self.factor = 2

        def __call__(self, value):
            return self.factor * value

    kept, scaler = Tasks(), Scaler()
    made = task(scaler.__call__, name="scaler")
    assert run(kept.get(made), 3) == 6
    scaler.factor = 5
    assert run(kept.get(made), 3) == 15
