"""What Prefect knows of task runs whose workers send few events, on a real server and real clusters."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from conformance_suite.runners import RUNNERS, MakeRunner
from prefect import flow, tags, task
from prefect_server import FINAL, PrefectServer, eventually

MANY = 300
# Beyond which Prefect hears of a task run's beginning at once.
LONG_S = 0.6


@pytest.fixture(scope="module", params=["flowrun-dask", "flowrun-ray"])
def make_runner(request: pytest.FixtureRequest, prefect_api: PrefectServer) -> Iterator[MakeRunner]:
    from prefect_flowrun import ClusterTaskRunner

    engine = request.param.rpartition("-")[2]
    with RUNNERS[request.param]():
        yield lambda **options: ClusterTaskRunner(engine=engine, **options)


@pytest.fixture
def server(prefect_api: PrefectServer) -> PrefectServer:
    return prefect_api


@task
def short(x: int = 0) -> int:
    return x


@task
def long() -> None:
    time.sleep(LONG_S)


@task
def failing() -> None:
    raise ValueError("no")


@task(retries=1, retry_delay_seconds=0)
def second_time() -> None:
    from prefect.runtime import task_run

    if task_run.run_count < 2:
        raise ValueError("not yet")


def run_one(runner: Any, server: PrefectServer, one: Any) -> tuple[dict[str, Any], list[str]]:
    @flow(task_runner=runner)
    def run() -> None:
        one.submit().wait()

    state = run(return_state=True)
    (task_run,) = server.final_task_runs(state.state_details.flow_run_id, 1)

    def states() -> list[str]:
        found = server.get(f"task_run_states/?task_run_id={task_run['id']}")
        return [each["name"] for each in sorted(found, key=lambda each: each["timestamp"])]

    return task_run, eventually(states, lambda names: bool(names) and names[-1] == task_run["state_name"])


@pytest.mark.parametrize(("one", "end"), [(short, "Completed"), (failing, "Failed")])
def test_of_a_short_task_run_prefect_hears_the_end_with_all_that_it_shows(make_runner, server, one, end):
    task_run, states = run_one(make_runner(), server, one)
    assert states == [end]
    assert task_run["run_count"] == 1
    assert task_run["expected_start_time"] <= task_run["start_time"] <= task_run["end_time"]
    assert task_run["total_run_time"] > 0


def test_of_a_long_task_run_prefect_hears_the_beginning_while_it_runs(make_runner, server):
    _, states = run_one(make_runner(), server, long)
    assert states == ["Pending", "Running", "Completed"]


def test_of_a_retried_task_run_prefect_hears_everything(make_runner, server):
    task_run, states = run_one(make_runner(), server, second_time)
    assert states == ["Pending", "Running", "Retrying", "Completed"]
    assert task_run["run_count"] == 2


def test_all_events_are_sent_on_demand(make_runner, server):
    _, states = run_one(make_runner(all_events=True), server, short)
    assert states == ["Pending", "Running", "Completed"]


def test_the_end_follows_no_event_that_was_never_sent(make_runner, server):
    """The server would wait for it before it runs automations."""
    task_run, _ = run_one(make_runner(), server, short)
    resource = f"prefect.task-run.{task_run['id']}"
    (event,) = eventually(lambda: server.events("prefect.task-run.Completed", resource), bool)
    assert event["follows"] is None


def test_events_name_the_flow_run_the_flow_and_the_tags_of_the_task(make_runner, server):
    @flow(task_runner=make_runner())
    def run() -> None:
        short.with_options(tags={"mine"}).submit().wait()

    with tags("of-the-run"):
        state = run(return_state=True)
    (task_run,) = server.final_task_runs(state.state_details.flow_run_id, 1)
    resource = f"prefect.task-run.{task_run['id']}"
    (event,) = eventually(lambda: server.events("prefect.task-run.Completed", resource), bool)
    related = {(each["prefect.resource.role"], each["prefect.resource.id"]) for each in event["related"]}
    assert {role for role, _ in related} == {"flow-run", "flow", "tag"}
    assert ("tag", "prefect.tag.mine") in related


def test_many_short_task_runs_are_all_recorded(make_runner, server):
    @flow(task_runner=make_runner())
    def run() -> list[int]:
        return short.map(range(MANY)).result()

    state = run(return_state=True)
    assert state.result() == list(range(MANY))
    body = {
        "flow_runs": {"id": {"any_": [str(state.state_details.flow_run_id)]}},
        "task_runs": {"state": {"type": {"any_": list(FINAL)}}},
    }
    assert eventually(lambda: server.post("task_runs/count", body), lambda found: found >= MANY) == MANY
