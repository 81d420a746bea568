"""Tasks import what lies beside the flow in all the ways that Python knows, and read a file there."""

import importlib
import json
from pathlib import Path

import units
from prefect import flow, task
from prefect_dask import DaskTaskRunner


@task
def at_the_top() -> float:
    return units.metres(2)


@task
def in_the_task() -> float:
    from units import metres

    return metres(2)


@task
def only_in_the_task() -> float:
    import weights

    return weights.kilograms(2)


@task
def late_in_a_helper() -> float:
    return units.both(2)[1]


@task
def by_name(module: str) -> float:
    return importlib.import_module(module).kilograms(2)


@task
def from_a_file() -> float:
    beside = json.loads((Path(__file__).parent / "factors.json").read_text())
    assert beside == json.loads(Path("factors.json").read_text()), "the working directory is another one"
    return 2 * beside["pound"]


@flow(task_runner=DaskTaskRunner())
def main() -> None:
    futures = {
        "at the top": (at_the_top.submit(), 0.6),
        "in the task": (in_the_task.submit(), 0.6),
        "only in the task": (only_in_the_task.submit(), 0.9),
        "late in a helper": (late_in_a_helper.submit(), 0.9),
        "by name": (by_name.submit("weights"), 0.9),
        "from a file": (from_a_file.submit(), 0.9),
    }
    found = {way: future.result(raise_on_failure=False) for way, (future, _) in futures.items()}
    wrong = {way: repr(found[way]) for way, (_, expected) in futures.items() if found[way] != expected}
    assert not wrong, wrong
