"""Processes of a task and of the flow: pools, an executor, a Process, a command, with functions of this file."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from prefect import flow, task

from prefect_flowrun import ClusterTaskRunner

PATIENCE_S = 60
CUBES = [0, 1, 8, 27]


def cube(number: int) -> int:
    return number**3


def put_cube(number: int, answers) -> None:
    answers.put((os.getpid(), cube(number)))


def by_pool(method: str) -> list[int]:
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map_async(cube, range(4)).get(PATIENCE_S)


def by_executor() -> list[int]:
    with ProcessPoolExecutor(2) as executor:
        return list(executor.map(cube, range(4), timeout=PATIENCE_S))


def by_process() -> list[int]:
    answers = multiprocessing.Queue()
    process = multiprocessing.Process(target=put_cube, args=(3, answers))
    process.start()
    pid, answer = answers.get(timeout=PATIENCE_S)
    process.join(PATIENCE_S)
    assert pid != os.getpid()
    return [*CUBES[:3], answer]


def by_command() -> list[int]:
    command = [sys.executable, "-c", "print([n**3 for n in range(4)])"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    return [int(word) for word in done.stdout.strip("[]\n").split(",")]


WAYS: dict[str, Callable[[], list[int]]] = {
    "fork": lambda: by_pool("fork"),
    "spawn": lambda: by_pool("spawn"),
    "executor": by_executor,
    "process": by_process,
    "command": by_command,
}


def problems(where: str) -> list[str]:
    wrong = []
    for name, way in WAYS.items():
        try:
            answer = way()
        except Exception as error:
            answer = f"{type(error).__name__}: {str(error)[:150]}"
        if answer != CUBES:
            wrong.append(f"{name} in {where}: {answer}")
    return wrong


@task
def in_a_task() -> list[str]:
    return problems("a task")


@flow(task_runner=ClusterTaskRunner())
def main() -> None:
    there = in_a_task.submit()
    wrong = [*problems("the flow"), *there.result()]
    assert not wrong, wrong
