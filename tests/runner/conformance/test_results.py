"""Results: persistence, caching, transactions"""

from __future__ import annotations

from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.results import ResultRecord
from prefect.transactions import transaction


def test_results_are_persisted_where_the_task_says(task_runner, storage):
    @task(persist_result=True, result_storage=storage, result_storage_key="answer", result_serializer="json")
    def answer():
        return 42

    @flow(task_runner=task_runner)
    def run():
        return answer.submit().result()

    assert run() == 42
    assert ResultRecord.deserialize((Path(storage.basepath) / "answer").read_bytes()).result == 42


def test_results_are_persisted_where_the_flow_says(task_runner, storage):
    @task
    def answer():
        return "forty-two"

    @flow(task_runner=task_runner, persist_result=True, result_storage=storage, result_serializer="json")
    def run():
        answer.submit().wait()

    run()
    assert any(b"forty-two" in path.read_bytes() for path in Path(storage.basepath).iterdir())


def test_result_that_was_not_kept_in_memory_is_read_from_storage(task_runner, storage):
    @task(persist_result=True, result_storage=storage, cache_result_in_memory=False)
    def answer():
        return 42

    @task
    def double(x):
        return 2 * x

    @flow(task_runner=task_runner)
    def run():
        return double.submit(answer.submit()).result()

    assert run() == 84


def test_second_call_with_the_same_inputs_is_cached(task_runner, storage, tally):
    @task(cache_policy=INPUTS + TASK_SOURCE, persist_result=True, result_storage=storage)
    def slow(x):
        tally.add("start")
        return 2 * x

    @flow(task_runner=task_runner)
    def run():
        states = [slow.submit(x, return_state=True) for x in (1, 1, 2)]
        return [(state.name, state.result()) for state in states]

    assert run() == [("Completed", 2), ("Cached", 2), ("Completed", 4)]
    assert run() == [("Cached", 2), ("Cached", 2), ("Cached", 4)]
    assert tally.count("start") == 2


def test_cache_key_function_decides(task_runner, storage):
    @task(cache_key_fn=lambda context, parameters: f"key-{parameters['x'] % 2}", result_storage=storage)
    def slow(x):
        return x

    @flow(task_runner=task_runner)
    def run():
        return [slow.submit(x).result() for x in (1, 3, 4)]

    assert run() == [1, 1, 4]


def test_refresh_cache_runs_the_task_again(task_runner, storage, tally):
    @task(cache_policy=INPUTS, persist_result=True, result_storage=storage)
    def slow(x):
        return tally.add("start")

    @flow(task_runner=task_runner)
    def run():
        return [slow.submit(1).result(), slow.with_options(refresh_cache=True).submit(1).result()]

    assert run() == [1, 2]


def test_transaction_inside_a_task_rolls_back(task_runner, tally):
    @task
    def step():
        pass

    @step.on_rollback
    def undo(txn):
        tally.add("undone")

    @step.on_commit
    def keep(txn):
        tally.add("kept")

    @task
    def work(good):
        with transaction():
            step()
            if not good:
                raise ValueError("no")

    @flow(task_runner=task_runner)
    def run():
        for future in (work.submit(True), work.submit(False)):
            future.wait()

    run()
    assert (tally.count("kept"), tally.count("undone")) == (1, 1)


def test_transaction_around_submits_rolls_back(task_runner, tally):
    @task
    def step():
        pass

    @step.on_rollback
    def undo(txn):
        tally.add("undone")

    @flow(task_runner=task_runner)
    def run():
        with transaction():
            step.submit().result()
            raise ValueError("no")

    run(return_state=True)
    assert tally.count("undone") == 1
