"""The Prefect client against a small server that behaves like Prefect's API."""

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from flowrun_operator.prefect_api.client import PrefectApi

KEY = "flowrun-u-1"


class Prefect:
    """One flow run and its task runs."""

    def __init__(self, state: str | None = "RUNNING", tasks: int = 0) -> None:
        self.flow_run = (
            {"id": "f-1", "name": "etl", "state_type": state, "state_name": state.capitalize()} if state else None
        )
        self.tasks = {f"t-{i}": "RUNNING" for i in range(tasks)}
        self.requests: list[tuple[str, str | None]] = []
        self.forced: list[bool] = []
        self.status = 200

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/api/flow_runs/filter", self.find)
        app.router.add_post("/api/flow_runs/{id}/set_state", self.set_flow_run)
        app.router.add_post("/api/task_runs/filter", self.find_tasks)
        app.router.add_post("/api/task_runs/{id}/set_state", self.set_task)
        return app

    async def find(self, request: web.Request) -> web.Response:
        self.requests.append((request.path, request.headers.get("Authorization")))
        if self.status != 200:
            return web.json_response({"detail": "no"}, status=self.status)
        wanted = (await request.json())["flow_runs"]["idempotency_key"]["any_"]
        found = [self.flow_run] if self.flow_run and wanted == [KEY] else []
        return web.json_response(found)

    async def set_flow_run(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.flow_run["state_type"] = body["state"]["type"]
        self.forced.append(body["force"])
        return web.json_response({"status": "ACCEPT"}, status=201)

    async def find_tasks(self, request: web.Request) -> web.Response:
        body = await request.json()
        states = body["task_runs"]["state"]["type"]["any_"]
        found = [{"id": i} for i, state in self.tasks.items() if state in states][: body["limit"]]
        return web.json_response(found)

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
    await client.report_end(await serve(prefect), KEY, "CRASHED", "the driver was killed")
    assert prefect.flow_run["state_type"] == "CRASHED"
    assert prefect.tasks == {"t-0": "COMPLETED", "t-1": "CRASHED", "t-2": "CRASHED"}
    assert prefect.forced == [True]


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"])
async def test_F28_a_final_state_in_prefect_is_never_changed_but_its_task_runs_are_ended(serve, client, state):
    prefect = Prefect(state, tasks=1)
    await client.report_end(await serve(prefect), KEY, "CRASHED", "x")
    assert prefect.flow_run["state_type"] == state
    assert prefect.tasks == {"t-0": "CRASHED"}


async def test_more_task_runs_than_one_page_are_ended(serve, client):
    prefect = Prefect(tasks=450)
    await client.report_end(await serve(prefect), KEY, "CRASHED", "x")
    assert set(prefect.tasks.values()) == {"CRASHED"}


async def test_a_flow_run_that_was_never_created_needs_no_end(serve, client):
    prefect = Prefect(None)
    await client.report_end(await serve(prefect), KEY, "CANCELLED", "x")
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
