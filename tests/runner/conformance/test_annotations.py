"""allow_failure, quote and unmapped, wherever they stand"""

from __future__ import annotations

import pytest
from conformance_suite.helpers import Point
from prefect import allow_failure, flow, task, unmapped
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote


@task
def good():
    return 1


@task
def bad():
    raise ValueError("no")


@task
def seen(*values):
    """Say what the task got, as far as it is the same in every process."""
    return "done " + ", ".join(_word(value) for value in values)


def _word(value):
    if isinstance(value, list | tuple | set):
        return f"{type(value).__name__}({', '.join(map(_word, value))})"
    if isinstance(value, dict):
        return f"dict({', '.join(f'{key}: {_word(each)}' for key, each in value.items())})"
    if isinstance(value, Point):
        return f"Point({_word(value.x)}, {_word(value.y)})"
    return repr(value) if isinstance(value, int | str | BaseException) else type(value).__name__.removesuffix("Future")


# name, what `wait_for` is given
WAIT_FOR = {
    "one future": lambda ok, no, skipped: ok,
    "one that failed": lambda ok, no, skipped: no,
    "a list": lambda ok, no, skipped: [ok, no],
    "a tuple": lambda ok, no, skipped: (ok, ok),
    "a set": lambda ok, no, skipped: {ok, no},
    "a dict": lambda ok, no, skipped: {"a": [no]},
    "nested lists": lambda ok, no, skipped: [[ok], [[no]]],
    "allow_failure by itself": lambda ok, no, skipped: allow_failure(no),
    "allow_failure in a list": lambda ok, no, skipped: [allow_failure(no), ok],
    "allow_failure beside one that failed": lambda ok, no, skipped: [allow_failure(no), no],
    "allow_failure around a list": lambda ok, no, skipped: allow_failure([no, ok]),
    "allow_failure around a tuple": lambda ok, no, skipped: allow_failure((no, ok)),
    "allow_failure around a dict": lambda ok, no, skipped: allow_failure({"a": no}),
    "allow_failure in a tuple": lambda ok, no, skipped: (allow_failure(no),),
    "allow_failure in a nested list": lambda ok, no, skipped: [[allow_failure(no)], ok],
    "allow_failure twice": lambda ok, no, skipped: [allow_failure(allow_failure(no))],
    "allow_failure of one that was skipped": lambda ok, no, skipped: [allow_failure(skipped)],
    "one that was skipped": lambda ok, no, skipped: [skipped],
    "quote": lambda ok, no, skipped: [quote(no)],
    "unmapped": lambda ok, no, skipped: [unmapped(no)],
    "a state": lambda ok, no, skipped: [no.state if no.wait() is None else None],
    "no future": lambda ok, no, skipped: ["text", 1],
    "nothing": lambda ok, no, skipped: [],
}
PARAMETERS = {
    "allow_failure": lambda ok, no, skipped: [allow_failure(no), ok],
    "allow_failure around a list": lambda ok, no, skipped: [allow_failure([no, ok])],
    "allow_failure in a list": lambda ok, no, skipped: [[allow_failure(no), 2]],
    "allow_failure in a dict": lambda ok, no, skipped: [{"a": allow_failure(no)}],
    "allow_failure in a dataclass": lambda ok, no, skipped: [Point(allow_failure(ok), 1)],
    "allow_failure of a value": lambda ok, no, skipped: [allow_failure(3)],
    "allow_failure of one that was skipped": lambda ok, no, skipped: [allow_failure(skipped)],
    "one that failed": lambda ok, no, skipped: [no],
    "quote of a list": lambda ok, no, skipped: [quote([1, 2])],
    "quote in a list": lambda ok, no, skipped: [[quote([1, 2]), 3]],
    "unmapped": lambda ok, no, skipped: [unmapped([1, ok])],
    "unmapped around allow_failure": lambda ok, no, skipped: [unmapped(allow_failure(no))],
    "a tuple that is no annotation": lambda ok, no, skipped: [(1, (ok,))],
}
MAPPED = {
    "allow_failure around a future": lambda ok, no, skipped: {"wait_for": allow_failure(no)},
    "allow_failure in a list": lambda ok, no, skipped: {"wait_for": [allow_failure(no)]},
    "one that failed": lambda ok, no, skipped: {"wait_for": [no]},
}


def ends_of(runner):
    """Run every shape and return how each task ended and what it returned."""

    @flow(task_runner=runner)
    def run():
        ok, no = good.submit(), bad.submit()
        skipped = seen.submit(no)
        args = ok, no, skipped
        futures = {f"wait_for {name}": seen.submit(wait_for=shape(*args)) for name, shape in WAIT_FOR.items()}
        futures |= {f"parameter {name}": seen.submit(*shape(*args)) for name, shape in PARAMETERS.items()}
        for name, shape in MAPPED.items():
            futures[f"mapped {name}"] = both.map([1, 2], unmapped([3]), **shape(*args))[1]
        futures["mapped over allow_failure"] = both.map(allow_failure([no, ok]), unmapped("x"))[0]
        for future in futures.values():
            future.wait()
        return {name: _end(future) for name, future in futures.items()}

    return run()


@task
def both(one, other):
    return f"{_word(one)} and {_word(other)}"


def _end(future):
    return future.state.name, future.result() if future.state.is_completed() else None


@pytest.fixture(scope="module")
def in_threads(prefect_api):
    return ends_of(ThreadPoolTaskRunner())


def test_annotations_mean_what_they_mean_in_threads(task_runner, in_threads):
    ends = ends_of(task_runner)
    assert {name: end for name, end in ends.items() if end != in_threads[name]} == {}
    assert in_threads["wait_for allow_failure by itself"] == ("Completed", "done ")
    assert in_threads["wait_for one that failed"] == ("NotReady", None)
