"""Clean-up after a failure that is allowed: allow_failure in each form that wait_for takes."""

from prefect import allow_failure, flow, task
from prefect.futures import wait
from prefect_dask import DaskTaskRunner


@task
def breaks() -> None:
    raise ValueError("on purpose")


@task
def cleans(what: str) -> str:
    return what


@flow(task_runner=DaskTaskRunner())
def main() -> None:
    first, second = breaks.submit(), breaks.submit()
    never = cleans.submit("never", wait_for=[first])
    forms = {
        "alone": allow_failure(first),
        "in a list": [allow_failure(first), allow_failure(second)],
        "around a list": allow_failure([first, second]),
        "of one that did not run": [allow_failure(never)],
        "a future": cleans.submit("fine"),
    }
    futures = {name: cleans.submit(name, wait_for=form) for name, form in forms.items()}
    futures["mapped"] = cleans.map(["mapped"], wait_for=allow_failure(first))[0]
    wait([never, *futures.values()], timeout=60)
    states = {name: future.state.name for name, future in futures.items()}
    assert set(states.values()) == {"Completed"}, states
    assert {name: future.result() for name, future in futures.items()} == {name: name for name in futures}
    assert never.state.name == "NotReady", never.state
