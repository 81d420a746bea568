"""One task after the other, in the order of the flow: three ways to get what Prefect 2's SequentialTaskRunner did."""

from prefect import flow, task
from prefect.futures import wait
from prefect.task_runners import ThreadPoolTaskRunner

from prefect_flowrun import ClusterTaskRunner

NAMES = ["ada", "grace", "edsger", "barbara"]


@task(log_prints=True)
def say_hello(name: str) -> None:
    print(f"hello {name}")


@task(log_prints=True)
def say_goodbye(name: str) -> None:
    print(f"goodbye {name}")


@flow
def called(names: list[str]) -> None:
    """Call the tasks: no task runner has a part in it."""
    for name in names:
        say_hello(name)
        say_goodbye(name)


@flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
def one_thread(names: list[str]) -> None:
    """Submit them to a pool of one thread."""
    futures = []
    for name in names:
        futures.append(say_hello.submit(name))
        futures.append(say_goodbye.submit(name))
    wait(futures)


@flow(task_runner=ClusterTaskRunner(engine="sequential"))
def at_once(names: list[str]) -> None:
    """Have each submit run its task, and return when the task has ended."""
    for name in names:
        say_hello.submit(name)
        say_goodbye.submit(name)


if __name__ == "__main__":
    called(NAMES)
    one_thread(NAMES)
    at_once(NAMES)
