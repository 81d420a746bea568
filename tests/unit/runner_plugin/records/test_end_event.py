"""An end that is told from outside, and what the task run itself has told and Prefect has not recorded yet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from prefect_server import eventually

from prefect_flowrun.records import close_runs

BEGAN = datetime.now(UTC) - timedelta(seconds=30)


class Told:
    """Task runs whose events the test sends, in the order in which they are to arrive."""

    def __init__(self, server):
        self.server = server
        flow = server.post("flows/", {"name": "told"})
        self.run = server.post("flow_runs/", {"flow_id": flow["id"], "state": {"type": "RUNNING"}})["id"]

    def post(self, path, body):
        response = httpx.post(f"{self.server.url}{path}", json=body, timeout=60)
        response.raise_for_status()
        return response.json() if response.content else None

    def tell(self, task, state_type, seconds):
        when = (BEGAN + timedelta(seconds=seconds)).isoformat()
        self.post("/events", [{
            "id": str(uuid4()),
            "occurred": when,
            "event": f"prefect.task-run.{state_type.capitalize()}",
            "resource": {"prefect.resource.id": f"prefect.task-run.{task}", "prefect.orchestration": "client"},
            "related": [{"prefect.resource.id": f"prefect.flow-run.{self.run}", "prefect.resource.role": "flow-run"}],
            "payload": {
                "validated_state": {"type": state_type, "name": state_type.capitalize(), "message": ""},
                "task_run": {"name": "t", "task_key": "t", "dynamic_key": task, "run_count": 1},
            },
        }])  # fmt: skip

    def state(self, task):
        return {run["id"]: run["state_type"] for run in self.server.task_runs(self.run)}.get(task)

    def wait_for(self, task, state):
        assert eventually(lambda: self.state(task), lambda found: found == state) == state


@pytest.fixture
def told(prefect_server):
    return Told(prefect_server)


def test_F20_an_end_that_is_still_on_its_way_to_prefect_is_not_lost_to_a_crash(told):
    task, other = str(uuid4()), str(uuid4())
    for each in (task, other):
        told.tell(each, "RUNNING", 1)
        told.wait_for(each, "RUNNING")
    close_runs.end_what_is_left(told.post, told.run, "CRASHED", "lost", (0.5, 1.0, 2.0, 4.0, 8.0, 16.0))
    told.tell(task, "COMPLETED", 2)  # half a minute ago, and the server hears of it now
    told.wait_for(task, "COMPLETED")
    told.wait_for(other, "CRASHED")


def test_F24_a_cancelled_task_run_whose_begin_was_still_on_its_way_does_not_stay_running(told):
    task = str(uuid4())
    told.tell(task, "PENDING", 1)
    told.wait_for(task, "PENDING")
    close_runs.end_what_is_left(told.post, told.run, "CANCELLED", "cancelled")
    told.wait_for(task, "CANCELLED")
    told.tell(task, "RUNNING", 2)
    told.wait_for(task, "RUNNING")
    # As the operator does when the driver has ended.
    close_runs.end_what_is_left(told.post, told.run, "CANCELLED", "cancelled", (0.5, 1.0, 2.0, 4.0, 8.0, 16.0))
    assert told.state(task) == "CANCELLED"


def test_a_task_run_keeps_what_prefect_knew_of_it(told):
    task = str(uuid4())
    told.tell(task, "RUNNING", 1)
    told.wait_for(task, "RUNNING")
    close_runs.end_what_is_left(told.post, told.run, "CRASHED", "the node was lost")
    told.wait_for(task, "CRASHED")
    [run] = told.server.task_runs(told.run)
    assert (run["name"], run["dynamic_key"], run["run_count"]) == ("t", task, 1)
    assert run["state"]["message"] == "the node was lost"
    assert datetime.fromisoformat(run["end_time"]) > BEGAN + timedelta(seconds=10)
