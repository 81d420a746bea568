"""Options and context that tasks see"""

from __future__ import annotations

from uuid import uuid4

from prefect import flow, tags, task
from prefect.blocks.system import Secret
from prefect.context import get_run_context
from prefect.runtime import flow_run as flow_run_info
from prefect.runtime import task_run as task_run_info
from prefect.settings import PREFECT_TASK_DEFAULT_RETRIES, get_current_settings, temporary_settings
from prefect.variables import Variable


def test_tags_of_the_flow_can_change_between_submits(task_runner):
    @task(tags={"own"})
    def seen():
        return sorted(task_run_info.tags)

    @flow(task_runner=task_runner)
    def run():
        futures = []
        for tag in ("red", "blue"):
            with tags(tag):
                futures.append(seen.submit())
        return [future.result() for future in [*futures, seen.submit()]]

    assert run() == [["own", "red"], ["blue", "own"], ["own"]]


def test_options_can_change_between_submits(task_runner, tally):
    @task
    def seen():
        name, own = task_run_info.task_name, sorted(task_run_info.tags)
        if name == "stubborn" and tally.add("start") < 2:
            raise ValueError("again")
        return name, own

    @flow(task_runner=task_runner)
    def run():
        variants = [seen.with_options(name="a", tags={"x"}), seen.with_options(name="stubborn", retries=1), seen]
        return [variant.submit().result() for variant in variants]

    assert run() == [("a", ["x"]), ("stubborn", []), ("seen", [])]


def test_task_run_names_are_made_from_parameters(task_runner):
    @task(task_run_name="greet-{name}")
    def templated(name):
        return task_run_info.name

    def name_it():
        return f"made-for-{task_run_info.parameters['name']}"

    @task(task_run_name=name_it)
    def called(name):
        return task_run_info.name

    @flow(task_runner=task_runner)
    def run():
        return templated.submit("ann").result(), called.submit("bob").result()

    assert run() == ("greet-ann", "made-for-bob")


def test_settings_can_change_between_submits(task_runner):
    @task
    def seen():
        return get_current_settings().tasks.default_retries

    @flow(task_runner=task_runner)
    def run():
        results = []
        for retries in (3, 4):
            with temporary_settings({PREFECT_TASK_DEFAULT_RETRIES: retries}):
                results.append(seen.submit().result())
        return results

    assert run() == [3, 4]


def test_runtime_tells_task_run_and_flow_run(task_runner):
    @task
    def seen(x):
        return {
            "task_run": task_run_info.id,
            "task_parameters": task_run_info.parameters,
            "flow_run": flow_run_info.id,
            "flow_name": flow_run_info.flow_name,
            "flow_parameters": flow_run_info.parameters,
            "context": str(get_run_context().task_run.flow_run_id),
        }

    @flow(task_runner=task_runner, name="seen-by-tasks")
    def run(n):
        future = seen.submit(1)
        return future.result() == {
            "task_run": str(future.task_run_id),
            "task_parameters": {"x": 1},
            "flow_run": flow_run_info.id,
            "flow_name": "seen-by-tasks",
            "flow_parameters": {"n": 5},
            "context": flow_run_info.id,
        }

    assert run(5) is True


def test_what_a_task_sets_in_its_context_stays_there(task_runner):
    """The next task of the same worker must not see it."""

    @task
    def careless(number):
        tags("left").__enter__()

    @task
    def seen(number):
        return sorted(task_run_info.tags)

    @flow(task_runner=task_runner)
    def run():
        careless.map([1, 2]).wait()
        return seen.map([1, 2]).result()

    assert run() == [[], []]


def test_variables_and_blocks_load_in_a_task(task_runner):
    name = f"v_{uuid4().hex}"
    Variable.set(name, {"colour": "red"})
    Secret(value="hush").save(name.replace("_", "-"))

    @task
    def load():
        return Variable.get(name), Secret.load(name.replace("_", "-")).get()

    @flow(task_runner=task_runner)
    def run():
        return load.submit().result()

    assert run() == ({"colour": "red"}, "hush")


def test_async_task_has_a_client_and_its_context(task_runner):
    @task
    async def ask():
        from prefect import get_client

        async with get_client() as client:
            found = await client.read_flow_run(get_run_context().task_run.flow_run_id)
        return str(found.id)

    @flow(task_runner=task_runner)
    def run():
        return ask.submit().result() == ask.submit().result() == flow_run_info.id

    assert run() is True
