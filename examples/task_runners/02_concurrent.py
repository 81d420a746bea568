"""Tasks in threads of the flow's process: what a flow without a task runner does, Prefect 2's ConcurrentTaskRunner."""

from threading import Barrier

from prefect import flow, task
from prefect.futures import wait

NAMES = ["ada", "grace", "edsger", "barbara"]

# Opens when all four have come. One after the other they would wait in vain.
door = Barrier(len(NAMES), timeout=30)


@task
def say_hello(name: str) -> None:
    door.wait()
    print(f"hello {name}")


@task
def say_goodbye(name: str) -> None:
    print(f"goodbye {name}")


# Here and not at the tasks: threads that switch `print` over, each for its task, would switch it back for each other.
@flow(log_prints=True)
def greetings(names: list[str]) -> None:
    goodbyes = []
    for name in names:
        hello = say_hello.submit(name)
        goodbyes.append(say_goodbye.submit(name, wait_for=[hello]))
    wait(goodbyes)


if __name__ == "__main__":
    greetings(NAMES)
