"""The Prefect client against a small server that behaves like Prefect's API."""

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from flowrun_operator.prefect_api.client import PrefectApi

KEY = "flowrun-u-1"


class Prefect:
    """One flow run and its task runs; `crashed_at` says when those ended that are Crashed, `history` what there was."""

    def __init__(self, state: str | None = "RUNNING", tasks: int = 0) -> None:
        self.flow_run = (
            {"id": "f-1", "name": "etl", "state_type": state, "state_name": state.capitalize()} if state else None
        )
        self.tasks = {f"t-{i}": "RUNNING" for i in range(tasks)}
        self.requests: list[tuple[str, str | None]] = []
        self.forced: list[bool] = []
        self.status = 200
        self.crashed_at: dict[str, str] = {}
        self.history: list[dict] = []
        self.subflows: dict[str, list[str]] = {}
        self.subflow_states: dict[str, str] = {}
        self.tasks_of: dict[str, str] = {}
        self.records = True

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/api/flow_runs/filter", self.find)
        app.router.add_post("/api/flow_runs/{id}/set_state", self.set_flow_run)
        app.router.add_get("/api/flow_run_states/", self.states)
        app.router.add_post("/api/task_runs/filter", self.find_tasks)
        app.router.add_post("/api/task_runs/{id}/set_state", self.set_task)
        app.router.add_post("/api/events", self.record)
        return app

    async def find(self, request: web.Request) -> web.Response:
        self.requests.append((request.path, request.headers.get("Authorization")))
        if self.status != 200:
            return web.json_response({"detail": "no"}, status=self.status)
        body = await request.json()
        if parents := body["flow_runs"].get("parent_flow_run_id"):
            ids = [i for parent in parents["any_"] for i in self.subflows.get(parent, [])][body["offset"] :]
            return web.json_response([{"id": i, "state_type": self.subflow_states[i]} for i in ids[: body["limit"]]])
        wanted = body["flow_runs"]["idempotency_key"]["any_"]
        found = [self.flow_run] if self.flow_run and wanted == [KEY] else []
        return web.json_response(found)

    async def set_flow_run(self, request: web.Request) -> web.Response:
        body = await request.json()
        if (id_ := request.match_info["id"]) in self.subflow_states:
            self.subflow_states[id_] = body["state"]["type"]
            return web.json_response({"status": "ACCEPT"}, status=201)
        self.flow_run["state_type"] = body["state"]["type"]
        self.flow_run["state_name"] = body["state"]["name"]
        self.forced.append(body["force"])
        return web.json_response({"status": "ACCEPT"}, status=201)

    async def find_tasks(self, request: web.Request) -> web.Response:
        body = await request.json()
        states = body["task_runs"]["state"]["type"]["any_"]
        since = body["task_runs"].get("end_time", {}).get("after_", "")
        asked = body["flow_runs"]["id"]["any_"]
        known = {i: state for i, state in self.tasks.items() if self.tasks_of.get(i, "f-1") in asked}
        chosen = [i for i, state in known.items() if state in states and self.crashed_at.get(i, "z") >= since]
        return web.json_response([{"id": i} for i in chosen[body.get("offset", 0) :][: body["limit"]]])

    async def states(self, request: web.Request) -> web.Response:
        return web.json_response(self.history)

    async def record(self, request: web.Request) -> web.Response:
        for event in await request.json() if self.records else ():
            task = event["resource"]["prefect.resource.id"].removeprefix("prefect.task-run.")
            self.tasks[task] = event["payload"]["validated_state"]["type"]
        return web.Response(status=204)

    async def set_task(self, request: web.Request) -> web.Response:
        self.tasks[request.match_info["id"]] = (await request.json())["state"]["type"]
        return web.json_response({"status": "ACCEPT"}, status=201)


@pytest.fixture
async def serve():
    servers: list[TestServer] = []

    async def start(prefect: Prefect) -> str:
        server = TestServer(prefect.app())
        await server.start_server()
        servers.append(server)
        return str(server.make_url("/api"))

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
async def client():
    api = PrefectApi(None, None)
    api.pauses_s = (0, 0)
    yield api
    await api.close()


async def test_a_flow_run_is_found_by_its_idempotency_key(serve, client):
    url = await serve(Prefect())
    found = await client.find(url, KEY)
    assert (found.id, found.name, found.state) == ("f-1", "etl", "Running")
    assert await client.find(url, "another") is None


async def test_a_killed_drivers_flow_run_ends_with_its_task_runs(serve, client):
    prefect = Prefect(tasks=3)
    prefect.tasks["t-0"] = "COMPLETED"
    await client.report_end(await serve(prefect), KEY, 1, "CRASHED", "the driver was killed")
    assert prefect.flow_run["state_type"] == "CRASHED"
    assert prefect.tasks == {"t-0": "COMPLETED", "t-1": "CRASHED", "t-2": "CRASHED"}
    assert prefect.forced == [True]


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"])
async def test_F28_a_final_state_in_prefect_is_never_changed_but_its_task_runs_are_ended(serve, client, state):
    prefect = Prefect(state, tasks=1)
    await client.report_end(await serve(prefect), KEY, 1, "CRASHED", "x")
    assert prefect.flow_run["state_type"] == state
    assert prefect.tasks == {"t-0": "CANCELLED" if state == "CANCELLED" else "CRASHED"}


# name, state in Prefect, what is reported, state afterwards
ENDS = [
    ("cancelled: the driver was stopped and said Crashed", "CRASHED", "CANCELLED", "CANCELLED"),
    ("cancelled: it was killed before it could say anything", "CANCELLING", "CANCELLED", "CANCELLED"),
    ("cancelled while it waited for a retry", "SCHEDULED", "CANCELLED", "CANCELLED"),
    ("the flow had completed first", "COMPLETED", "CANCELLED", "COMPLETED"),
    ("a deadline: the driver said Crashed", "CRASHED", "FAILED", "FAILED"),
    ("a crash after a cancellation was asked for in Prefect", "CANCELLING", "CRASHED", "CANCELLED"),
    ("a flow ended well while Prefect was away", "RUNNING", "COMPLETED", "COMPLETED"),
    ("the same, and its driver was stopped as it waited", "CRASHED", "COMPLETED", "COMPLETED"),
    ("the same, and a user cancelled it meanwhile", "CANCELLING", "COMPLETED", "CANCELLED"),
    ("an attempt before the last one was lost", "COMPLETED", "COMPLETED", "COMPLETED"),
    ("a crash of a run that waited", "SCHEDULED", "CRASHED", "CRASHED"),
]


@pytest.mark.parametrize(("before", "reported", "after"), [r[1:] for r in ENDS], ids=[r[0] for r in ENDS])
async def test_F24_end_table(serve, client, before, reported, after):
    prefect = Prefect(before)
    url = await serve(prefect)
    await client.report_end(url, KEY, 1, reported, "x")
    assert prefect.flow_run["state_type"] == after
    await client.report_end(url, KEY, 1, reported, "x")
    assert prefect.flow_run["state_type"] == after, "it may be said twice"


async def test_F28_what_a_good_end_left_unfinished_has_not_completed(serve, client):
    prefect = Prefect("RUNNING", tasks=2)
    await client.report_end(await serve(prefect), KEY, 1, "COMPLETED", "")
    assert set(prefect.tasks.values()) == {"CRASHED"}


@pytest.mark.parametrize("since", ["CANCELLING", "RUNNING"])
async def test_F24_task_runs_that_crashed_because_of_the_cancellation_are_cancelled_and_older_ones_are_not(
    serve, client, since
):
    prefect = Prefect("CRASHED", tasks=3)
    prefect.tasks |= {"t-0": "CRASHED", "t-1": "CRASHED"}
    prefect.crashed_at = {"t-0": "2026-11-22T10:00:00Z", "t-1": "2026-11-22T12:00:00Z"}
    prefect.history = [
        {"type": "RUNNING", "timestamp": "2026-11-22T09:00:00Z"},
        {"type": since, "timestamp": "2026-11-22T11:00:00Z"},
    ]
    await client.report_end(await serve(prefect), KEY, 1, "CANCELLED", "x")
    assert prefect.tasks == {"t-0": "CRASHED", "t-1": "CANCELLED", "t-2": "CANCELLED"}


# name, state in Prefect, state type and name afterwards
WAITS = [
    ("its driver was killed", "RUNNING", ("SCHEDULED", "AwaitingRetry")),
    ("its driver said Crashed", "CRASHED", ("SCHEDULED", "AwaitingRetry")),
    ("it never ran", "PENDING", ("SCHEDULED", "AwaitingRetry")),
    ("it has ended after all", "COMPLETED", ("COMPLETED", "Completed")),
    ("it has failed after all", "FAILED", ("FAILED", "Failed")),
    ("it was cancelled in Prefect", "CANCELLING", ("CANCELLED", "Cancelled")),
    ("and is so already", "CANCELLED", ("CANCELLED", "Cancelled")),
]


@pytest.mark.parametrize(("before", "after"), [r[1:] for r in WAITS], ids=[r[0] for r in WAITS])
async def test_waiting_table(serve, client, before, after):
    prefect = Prefect(before, tasks=2)
    prefect.tasks["t-0"] = "COMPLETED"
    await client.report_wait(await serve(prefect), KEY, 1, "AwaitingRetry", "the driver was killed")
    assert (prefect.flow_run["state_type"], prefect.flow_run["state_name"]) == after
    left = "CANCELLED" if before in {"CANCELLING", "CANCELLED"} else "CRASHED"
    assert prefect.tasks == {"t-0": "COMPLETED", "t-1": left}


@pytest.mark.parametrize("report", ["report_end", "report_wait"])
@pytest.mark.parametrize(("owner", "left_alone"), [("1", False), ("2", False), ("3", True), ("x", False)])
async def test_F28_a_report_that_comes_when_a_later_attempt_has_the_run_changes_nothing(
    serve, client, report, owner, left_alone
):
    prefect = Prefect(tasks=1)
    prefect.flow_run["labels"] = {"flowrun.dev/attempt": owner}
    await getattr(client, report)(await serve(prefect), KEY, 2, "CRASHED", "x")
    assert (prefect.flow_run["state_type"] == "RUNNING") is left_alone
    assert (prefect.tasks == {"t-0": "RUNNING"}) is left_alone


async def test_F20_subflow_runs_end_with_the_run_and_their_task_runs_too(serve, client):
    prefect = Prefect(tasks=2)
    prefect.subflows = {"f-1": ["s-1", "s-2"], "s-2": ["s-3"]}
    prefect.subflow_states = {"s-1": "RUNNING", "s-2": "COMPLETED", "s-3": "PENDING"}
    prefect.tasks_of = {"t-1": "s-3"}
    await client.report_end(await serve(prefect), KEY, 1, "CRASHED", "x")
    assert prefect.subflow_states == {"s-1": "CRASHED", "s-2": "COMPLETED", "s-3": "CRASHED"}
    assert prefect.tasks == {"t-0": "CRASHED", "t-1": "CRASHED"}


@pytest.mark.parametrize(
    ("before", "after"), [("RUNNING", "CANCELLING"), ("COMPLETED", "COMPLETED"), ("CANCELLED",) * 2]
)
async def test_F24_a_cancellation_is_announced_to_a_run_that_goes_on(serve, client, before, after):
    prefect = Prefect(before)
    await client.announce_cancel(await serve(prefect), KEY)
    assert prefect.flow_run["state_type"] == after


async def test_what_a_server_does_not_record_in_time_is_set_by_force(serve, client):
    prefect = Prefect("RUNNING", tasks=2)
    prefect.records = False
    await client.report_end(await serve(prefect), KEY, 1, "CRASHED", "lost")
    assert set(prefect.tasks.values()) == {"CRASHED"}


async def test_more_task_runs_than_one_page_are_ended(serve, client):
    prefect = Prefect(tasks=450)
    await client.report_end(await serve(prefect), KEY, 1, "CRASHED", "x")
    assert set(prefect.tasks.values()) == {"CRASHED"}


async def test_a_flow_run_that_was_never_created_needs_no_end(serve, client):
    prefect = Prefect(None)
    await client.report_end(await serve(prefect), KEY, 1, "CANCELLED", "x")
    assert prefect.forced == []


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_F28_a_refusal_of_prefect_is_an_error_for_the_caller(serve, client, status):
    prefect = Prefect()
    prefect.status = status
    with pytest.raises(aiohttp.ClientError):
        await client.find(await serve(prefect), KEY)


async def test_F28_a_server_that_is_not_there_is_an_error_for_the_caller(client):
    with pytest.raises(aiohttp.ClientError):
        await client.find("http://127.0.0.1:9/api", KEY)


async def test_I5_the_operators_key_goes_to_its_own_server_only(serve):
    own, other = Prefect(), Prefect()
    own_url, other_url = await serve(own), await serve(other)
    api = PrefectApi(own_url, "hunter2")
    await api.find(own_url, KEY)
    await api.find(other_url, KEY)
    await api.close()
    assert (own.requests[0][1], other.requests[0][1]) == ("Bearer hunter2", None)
