"""A worker thread's context: set up once, used by many tasks, which don't see each other in it."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
from contextvars import ContextVar

import pytest
from prefect import flow, get_run_logger, tags
from prefect.client.orchestration import get_client
from prefect.context import (
    AsyncClientContext,
    FlowRunContext,
    SettingsContext,
    SyncClientContext,
    TagsContext,
    get_settings_context,
)
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

from prefect_flowrun import ClusterTaskRunner
from prefect_flowrun.wire.context import Contexts
from prefect_flowrun.worker import prefect_context
from prefect_flowrun.worker.prefect_context import Hydrated, hydrated

SEEN: ContextVar[str] = ContextVar("seen", default="nothing")
TAKEN: list[bytes] = []


def take_context():
    """Of the flow around, as it would travel. Not a closure: a flow is pickled with what it captures."""
    TAKEN.append(Contexts(with_secrets=False).current().data)


@flow(task_runner=ClusterTaskRunner())
def outer():
    with tags("of-the-flow"):
        take_context()


@pytest.fixture(scope="module")
def serialized(prefect_server):
    with temporary_settings({PREFECT_API_URL: prefect_server.url, PREFECT_LOGGING_LEVEL: "ERROR"}):
        outer()
    return TAKEN.pop()


@pytest.fixture
def context(serialized):
    made = Hydrated(pickle.loads(serialized))
    yield made
    made.close()


def in_new_thread(function):
    """Call a function in a thread of its own, which has no contexts yet."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function()))
    thread.start()
    thread.join()
    [answer] = answers
    return answer


def test_a_task_finds_the_flow_run_tags_and_settings_of_its_submit(context, prefect_server):
    def look():
        flow_run = FlowRunContext.get()
        return flow_run.flow.name, TagsContext.get().current_tags, PREFECT_API_URL.value(), get_run_logger() is not None

    assert context.run(look, None) == ("outer", {"of-the-flow"}, prefect_server.url, True)
    assert FlowRunContext.get() is None
    assert SettingsContext.get().settings.logging.level != "ERROR"


def test_what_one_task_sets_the_next_does_not_see(context):
    def work():
        before = SEEN.get()
        SEEN.set("something")
        return before

    async def work_async():
        return work()

    assert [context.run(work, None), context.run_async(work_async, None), context.run(work, None)] == ["nothing"] * 3


def test_each_task_has_a_flow_run_context_of_its_own_for_what_tasks_write_there(context):
    def work():
        own = FlowRunContext.get()
        found = dict(own.run_results), dict(own.task_run_dynamic_keys)
        own.run_results[1] = "edge"
        own.task_run_dynamic_keys["x"] = 1
        return found, own.flow_run.id

    first, second = context.run(work, None), context.run(work, None)
    assert first == second
    assert first[0] == ({}, {})


def test_each_task_has_a_runner_of_its_own_that_has_connected_to_nothing(context):
    def work():
        runner = FlowRunContext.get().task_runner
        return runner, runner._started

    (first, started), (second, _) = context.run(work, None), context.run(work, None)
    assert type(first) is ClusterTaskRunner
    assert not first.in_use
    assert started
    assert first is not second
    assert not first._started  # left when the task has ended


def test_the_client_stays_open_from_task_to_task(context):
    def work():
        assert get_client(sync_client=True) is SyncClientContext.get().client
        return SyncClientContext.get().client

    async def work_async():
        return AsyncClientContext.get().client, asyncio.get_running_loop()

    assert context.run(work, None) is context.run(work, None)
    assert context.run_async(work_async, None) == context.run_async(work_async, None)


def test_what_an_async_task_leaves_on_the_loop_is_cancelled(context):
    ended = []

    async def leftover():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("leftover")

    async def work():
        work.left = asyncio.create_task(leftover())
        await asyncio.sleep(0)
        return "result"

    assert context.run_async(work, None) == "result"
    assert ended == ["leftover"]
    assert work.left.cancelled()


def test_a_leftover_that_fails_does_not_fail_its_task(context):
    async def leftover():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ValueError("in the middle of it") from None

    async def work():
        work.left = asyncio.create_task(leftover())
        await asyncio.sleep(0)
        return "result"

    assert context.run_async(work, None) == "result"


def test_an_error_leaves_the_context_usable(context):
    def broken():
        SEEN.set("something")
        raise ValueError("no")

    async def broken_async():
        broken()

    with pytest.raises(ValueError, match="no"):
        context.run(broken, None)
    with pytest.raises(ValueError, match="no"):
        context.run_async(broken_async, None)
    assert context.run(SEEN.get, None) == "nothing"


def test_closing_closes_the_async_client_and_may_be_done_twice(serialized):
    made = Hydrated(pickle.loads(serialized))

    async def open_async():
        return AsyncClientContext.get().client

    async_client = made.run_async(open_async, None)
    made.close()
    made.close()
    assert async_client._client.is_closed


def test_contexts_of_a_thread_with_the_same_settings_share_a_client_that_is_closed_with_the_thread(serialized):
    def work():
        first, second = Hydrated(pickle.loads(serialized)), Hydrated(pickle.loads(serialized))
        clients = [made.run(lambda: SyncClientContext.get().client, None) for made in (first, second)]
        first.close()
        assert clients[0] is clients[1]
        assert not clients[1]._client.is_closed
        second.close()
        return clients[1]

    client = in_new_thread(work)
    gc.collect()
    assert client._client.is_closed


def test_a_thread_sets_a_context_up_once_and_each_thread_its_own(serialized):
    loads = []

    def load():
        loads.append(threading.get_ident())
        return pickle.loads(serialized)

    def twice():
        return hydrated(b"digest", load) is hydrated(b"digest", load)

    assert in_new_thread(twice)
    assert in_new_thread(twice)
    assert len(loads) == 2


def test_a_thread_keeps_few_contexts_and_closes_the_one_used_longest_ago(serialized, monkeypatch):
    monkeypatch.setattr(prefect_context, "_KEPT_PER_THREAD", 2)

    def work():
        def get(digest):
            return hydrated(digest, lambda: pickle.loads(serialized))

        a, b = get(b"a"), get(b"b")
        assert get(b"a") is a
        closed = []
        b._stack.callback(closed.append, "b")
        get(b"c")
        assert closed == ["b"]
        assert get(b"a") is a
        return get(b"b") is not b

    assert in_new_thread(work)


def test_a_worker_uses_its_own_key_where_none_travels(serialized, monkeypatch):
    monkeypatch.setenv("PREFECT_API_KEY", "the-workers-own")

    def work():
        made = Hydrated(pickle.loads(serialized))
        try:
            return made.run(_api_key, None)
        finally:
            made.close()

    assert in_new_thread(work) == "the-workers-own"


def _api_key():
    return get_settings_context().settings.api.key.get_secret_value()


@pytest.mark.parametrize(
    ("sent", "own", "used"),
    [
        ("http://127.0.0.1:35725/api", "http://prefect.flowrun-system.svc:4200/api", "own"),
        ("http://localhost:4200/api", "http://prefect.flowrun-system.svc:4200/api", "own"),
        ("http://[::1]:4200/api", "https://prefect.example.com/api", "own"),
        ("https://prefect.example.com/api", "http://prefect.flowrun-system.svc:4200/api", "sent"),
        ("http://127.0.0.1:35725/api", None, "sent"),
        (None, "http://prefect.flowrun-system.svc:4200/api", "sent"),
    ],
)
def test_a_worker_reaches_prefect_by_its_own_address_where_the_senders_is_of_the_senders_machine(sent, own, used):
    settings = {"api": {"url": sent}}
    prefect_context._reach_api_from_here(settings, own)
    assert settings["api"]["url"] == (own if used == "own" else sent)


def test_a_context_without_api_settings_is_left_alone():
    prefect_context._reach_api_from_here(None, "http://prefect.example.com/api")
    prefect_context._reach_api_from_here({}, "http://prefect.example.com/api")
