"""What Prefect records: states, logs, hooks, artifacts, events"""

from __future__ import annotations

from uuid import uuid4

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.assets import materialize
from prefect.events import emit_event
from prefect_server import eventually

LINES = 500


def test_task_runs_are_recorded(task_runner, server):
    @task(tags={"red"})
    def one():
        return 1

    @task
    def fail():
        raise ValueError("no")

    @flow(task_runner=task_runner)
    def run():
        first, second = one.submit(), fail.submit()
        first.wait()
        second.wait()
        return [str(first.task_run_id), str(second.task_run_id)]

    state = run(return_state=True)
    runs = {run["id"]: run for run in server.final_task_runs(state.state_details.flow_run_id, 2)}
    good, bad = (runs[task_run_id] for task_run_id in state.result())
    assert len(runs) == 2
    assert (good["state_name"], good["run_count"], good["tags"]) == ("Completed", 1, ["red"])
    assert (bad["state_name"], bad["run_count"]) == ("Failed", 1)
    assert good["name"].startswith("one-")
    assert good["start_time"] <= good["end_time"]


def test_every_printed_line_is_a_log_line(task_runner, server):
    @task(log_prints=True)
    def chatter():
        for number in range(LINES):
            print(f"line {number}")  # noqa: T201

    @flow(task_runner=task_runner)
    def run():
        chatter.submit().wait()

    state = run(return_state=True)

    def lines():
        return [line for line in server.logs(state.state_details.flow_run_id) if line.startswith("line ")]

    assert sorted(eventually(lines, lambda found: len(found) >= LINES)) == sorted(
        f"line {number}" for number in range(LINES)
    )


def test_log_prints_of_the_flow_counts_for_its_tasks(task_runner, server):
    @task
    def quiet():
        print("told by print")  # noqa: T201
        get_run_logger().warning("told by logger")

    @flow(task_runner=task_runner, log_prints=True)
    def run():
        future = quiet.submit()
        future.wait()
        return str(future.task_run_id)

    state = run(return_state=True)

    def told():
        entries = server.log_entries(state.state_details.flow_run_id)
        return {(entry["message"], entry["task_run_id"]) for entry in entries if entry["message"].startswith("told")}

    assert eventually(told, lambda found: len(found) >= 2) == {
        ("told by print", state.result()),
        ("told by logger", state.result()),
    }


def test_state_hooks_run(task_runner, tally):
    def note(name):
        def hook(task, task_run, state):
            tally.add(f"{name}-{state.name}-{task_run.state.name}")

        return hook

    @task(on_completion=[note("good")], on_failure=[note("bad")], on_running=[note("start")])
    def work(good):
        if not good:
            raise ValueError("no")

    @flow(task_runner=task_runner)
    def run():
        for future in (work.submit(True), work.submit(False)):
            future.wait()

    run()
    names = sorted(path.name for path in tally.folder.iterdir())
    assert [name for name in names if not name.startswith("start")] == [
        "bad-Failed-Failed.1",
        "good-Completed-Completed.1",
    ]
    assert any(name.startswith("start-Running") for name in names)


def test_artifacts_belong_to_the_task_run(task_runner, server):
    key = f"report-{uuid4().hex}"

    @task
    def report():
        create_markdown_artifact("# Fine", key=key)

    @flow(task_runner=task_runner)
    def run():
        future = report.submit()
        future.wait()
        return str(future.task_run_id)

    state = run(return_state=True)
    body = {"artifacts": {"key": {"any_": [key]}}}
    found = [(artifact["data"], artifact["task_run_id"]) for artifact in server.post("artifacts/filter", body)]
    assert found == [("# Fine", state.result())]


def test_events_of_a_task_arrive(task_runner, server):
    resource = f"shop.{uuid4().hex}"

    @task
    def sell():
        emit_event("sold", {"prefect.resource.id": resource})

    @flow(task_runner=task_runner)
    def run():
        sell.submit().wait()

    run()
    assert len(eventually(lambda: server.events("sold", resource), bool)) == 1


def test_assets_know_what_they_were_made_of(task_runner, server):
    raw, clean = (f"s3://shop/{uuid4().hex}" for _ in range(2))

    @materialize(raw)
    def fetch():
        return 1

    @materialize(clean)
    def tidy(data):
        return data

    @flow(task_runner=task_runner)
    def run():
        tidy.submit(fetch.submit()).wait()

    run()
    events = eventually(lambda: server.events("prefect.asset.materialization.succeeded", clean), bool)
    assert [event["resource"]["prefect.resource.id"] for event in events] == [clean]
    assert raw in [related["prefect.resource.id"] for related in events[0]["related"]]
