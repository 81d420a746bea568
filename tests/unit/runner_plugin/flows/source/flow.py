"""A flow that uses its own file and those beside it in all the ways that people do. It tells what went wrong."""

import importlib
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import helper
from prefect import flow, task

LOCK = threading.Lock()
LEVEL = 1
LIMITS = {"a": 1}
PATIENCE_S = 200


class Point:
    def __init__(self, x: int) -> None:
        self.x = x


ORIGIN = Point(0)


def cube(number: int) -> int:
    return number**3


@task
def top_level_import() -> float:
    return helper.gross(100)


@task
def import_inside() -> float:
    import other

    return other.cut(100)


@task
def import_by_name(name: str) -> float:
    return importlib.import_module(name).cut(100)


@task
def late_import_of_a_helper() -> float:
    return helper.reduced(100)


@task
def relative_file() -> str:
    return Path("words.txt").read_text()


@task
def file_beside() -> str:
    return (Path(__file__).parent / "words.txt").read_text()


@task
def write(name: str) -> str:
    Path(name).write_text("written")
    return Path(name).read_text()


@task
def executor() -> list[int]:
    with ProcessPoolExecutor(1) as pool:
        return list(pool.map(cube, range(3), timeout=PATIENCE_S))


@task
def spawned() -> list[int]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map_async(cube, range(3)).get(PATIENCE_S)


@task
def same_class(point: Point, pickled: bytes) -> bool:
    return isinstance(point, Point) and isinstance(pickle.loads(pickled), Point)


@task
def locked() -> str:
    with LOCK:
        return "locked"


@task
def state() -> tuple[Any, ...]:
    return LEVEL, LIMITS["a"], helper.RATE, ORIGIN.x


@task
def square(number: int) -> int:
    return number * number


def a_closure() -> Callable[[], int]:
    factor = 3

    @task
    def inner() -> int:
        with LOCK:
            return factor * cube(2)

    return inner.submit().result()


def from_threads() -> list[int]:
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(copy_context().run, square.submit, number) for number in range(8)]
        return [job.result().result() for job in jobs]


def changed() -> list[Any]:
    """What the flow changes in its modules is seen by what it submits from then on."""
    global LEVEL
    seen = [state.submit().result()]
    LEVEL, LIMITS["a"], helper.RATE, ORIGIN.x = 2, 2, 2, 2
    seen.append(state.submit().result())
    LEVEL, LIMITS["a"] = 1, 1
    seen.append(state.submit().result())
    return seen


@flow
def main() -> None:
    point = Point(1)
    ways: dict[str, tuple[Callable[[], Any], Any]] = {
        "threads that submit": (from_threads, [n * n for n in range(8)]),
        "import at the top": (lambda: top_level_import.submit().result(), 125.0),
        "import in a task": (lambda: import_inside.submit().result(), 50.0),
        "import by name": (lambda: import_by_name.submit("other").result(), 50.0),
        "late import of a helper": (lambda: late_import_of_a_helper.submit().result(), 62.5),
        "relative file": (lambda: relative_file.submit().result(), "hello"),
        "file beside": (lambda: file_beside.submit().result(), "hello"),
        "relative write": (lambda: write.submit("out.txt").result(), "written"),
        "executor": (lambda: executor.submit().result(), [0, 1, 8]),
        "spawn": (lambda: spawned.submit().result(), [0, 1, 8]),
        "classes": (lambda: same_class.submit(point, pickle.dumps(point)).result(), True),
        "lock": (lambda: locked.submit().result(), "locked"),
        "closure": (a_closure, 24),
        "changed values": (changed, [(1, 1, 25, 0), (2, 2, 2, 2), (1, 1, 2, 2)]),
    }
    only = os.environ.get("ONLY", "").split(",")
    wrong = []
    for name, (way, expected) in ways.items():
        if only != [""] and name not in only:
            continue
        try:
            found = way()
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        if found != expected:
            wrong.append(f"{name}: {found!r} instead of {expected!r}")
    assert not wrong, "; ".join(wrong)
