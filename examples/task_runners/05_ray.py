"""Tasks on Ray: the cluster of the FlowRun, or one on this machine."""

from prefect import flow, task

from prefect_flowrun import ClusterTaskRunner

NAMES = ["ada", "grace", "edsger", "barbara"]


@task(log_prints=True)
def say_hello(name: str) -> None:
    print(f"hello {name}")


@task(log_prints=True)
def say_goodbye(name: str) -> None:
    print(f"goodbye {name}")


@flow(task_runner=ClusterTaskRunner(engine="ray"))
def greetings(names: list[str] = NAMES) -> None:
    for name in names:
        say_hello.submit(name)
        say_goodbye.submit(name)
    # Nobody waits for the eight futures. The runner does.


if __name__ == "__main__":
    greetings()
