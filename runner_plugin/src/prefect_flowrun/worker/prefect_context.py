"""A worker thread's Prefect context, set up once and used for every task that comes with the same one.

Prefect sets it up anew for each task: reads the settings again, opens two HTTP clients, each with its TLS context (50
ms of CPU in all). Here each thread keeps a `contextvars.Context` with open clients per distinct context, and each task
runs in a copy of it, so that nothing that one task sets is seen by the next.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from prefect.context import (
    AssetContext,
    AsyncClientContext,
    FlowRunContext,
    SettingsContext,
    SyncClientContext,
    hydrated_context,
)

from prefect_flowrun.worker import prefect_logging

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

R = TypeVar("R")

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# A flow alternates between few contexts at a time (tags, settings, parent tasks).
_KEPT_PER_THREAD = 8
# What tasks write into the context of their flow: each gets its own, or edges of one would appear at another.
_OWN_FIELDS = ("run_results", "task_run_dynamic_keys", "observed_flow_pauses", "task_run_assets")

_thread = threading.local()
_logging_ready = threading.Event()


class Hydrated:
    """One context of one thread. Used and closed in that thread only."""

    def __init__(self, serialized: dict[str, Any]) -> None:
        """Set the context up.

        Args:
            serialized: by `prefect.context.serialize_context`.
        """
        self._context = contextvars.copy_context()
        self._stack = ExitStack()
        self._surroundings = surroundings(serialized.get("settings_context"))
        self._loop: asyncio.Runner | None = None
        # Left in the same context as entered: a ContextVar's token is good for that one only.
        self._context.run(self._enter, serialized)

    def run(self, function: Callable[[], R], assets: dict[str, Any] | None) -> R:
        """Call a function in a copy of the context.

        Args:
            function: runs a sync task.
            assets: serialised asset context of the task, if it has one.
        """
        return self._context.copy().run(_in_own_flow_context, function, assets)

    def run_async(self, function: Callable[[], Coroutine[Any, Any, R]], assets: dict[str, Any] | None) -> R:
        """Run a coroutine in a copy of the context, on an event loop that stays, and with it the open client.

        Args:
            function: makes the coroutine of an async task.
            assets: serialised asset context of the task, if it has one.
        """
        if self._loop is None:
            self._loop = asyncio.Runner()
            self._loop.run(_open_async_client(), context=self._context)
        context = self._context.copy()
        with ExitStack() as stack:
            context.run(_enter_own_flow_context, stack, assets)
            try:
                return self._loop.run(function(), context=context)
            finally:
                self._loop.run(_cancel_others())
                context.run(stack.close)

    def __del__(self) -> None:
        # The thread ends. Left to the garbage collector, the generators in the stack would close in no context at all.
        with suppress(Exception):
            self.close()

    def close(self) -> None:
        """Close the clients. May be called twice."""
        if self._loop is not None:
            with suppress(Exception):
                self._loop.run(_close_async_client(), context=self._context)
            self._loop.close()
            self._loop = None
        with suppress(Exception):
            self._context.run(self._stack.close)

    def _enter(self, serialized: dict[str, Any]) -> None:
        client = self._surroundings.enter(self._stack)
        self._stack.enter_context(hydrated_context({**serialized, "settings_context": {}}, client=client))


class Surroundings:
    """What all contexts of one thread with the same settings have in common: these, and the open client.

    Of the 60 ms of CPU that a context costs 40 are for the settings and 20 for the client's TLS context, and subflows,
    tags and parent tasks each make a context of their own.
    """

    def __init__(self, settings: dict[str, Any] | None) -> None:
        """Read the settings.

        Args:
            settings: as they came; None means the process's own.
        """
        if settings:
            _reach_api_from_here(settings.get("settings"), os.environ.get("PREFECT_API_URL"))
        self._settings = SettingsContext(**settings) if settings else None
        self._client: SyncClientContext | None = None

    def enter(self, stack: ExitStack) -> SyncPrefectClient:
        """Enter the settings and return the client, which stays open for the contexts to come.

        Args:
            stack: leaves what was entered.
        """
        if self._settings is not None:
            stack.enter_context(self._settings.model_copy())
        if not _logging_ready.is_set():
            _logging_ready.set()
            prefect_logging.set_up()
        if self._client is None:
            self._client = SyncClientContext().__enter__()
        # Entering it again would only count: the variable is set in the first context alone.
        SyncClientContext.__var__.set(self._client)
        return self._client.client

    def __del__(self) -> None:
        # The thread ends, or has other settings now.
        with suppress(Exception):
            if self._client is not None:
                self._client.client.__exit__(None, None, None)


def surroundings(settings: dict[str, Any] | None) -> Surroundings:
    """Return this thread's surroundings with these settings.

    Args:
        settings: serialised settings context, or None.
    """
    known: OrderedDict[bytes, Surroundings] | None = getattr(_thread, "surroundings", None)
    if known is None:
        known = _thread.surroundings = OrderedDict()
    key = pickle.dumps(settings)
    if key not in known:
        known[key] = Surroundings(settings)
        if len(known) > _KEPT_PER_THREAD:
            known.popitem(last=False)  # its client is closed when the last context that uses it has gone
    known.move_to_end(key)
    return known[key]


def _reach_api_from_here(settings: Any, own_url: str | None) -> None:
    """Take this worker's own address of Prefect's API where the sender's leads to the sender's machine only.

    A script that uses a TaskCluster through a port-forward mostly has one to Prefect, too.

    Args:
        settings: as they came; changed in place.
        own_url: what this worker was started with.
    """
    api = settings.get("api") if isinstance(settings, dict) else None
    if own_url and isinstance(api, dict) and urlsplit(str(api.get("url"))).hostname in _LOOPBACK:
        api["url"] = own_url


def hydrated(digest: bytes, load: Callable[[], dict[str, Any]]) -> Hydrated:
    """Return this thread's context of that digest.

    Args:
        digest: of the serialised context.
        load: returns the serialised context.
    """
    contexts: OrderedDict[bytes, Hydrated] | None = getattr(_thread, "contexts", None)
    if contexts is None:
        contexts = _thread.contexts = OrderedDict()
    if digest not in contexts:
        contexts[digest] = Hydrated(load())
        if len(contexts) > _KEPT_PER_THREAD:
            contexts.popitem(last=False)[1].close()
    contexts.move_to_end(digest)
    return contexts[digest]


def _in_own_flow_context(function: Callable[[], R], assets: dict[str, Any] | None) -> R:
    with ExitStack() as stack:
        _enter_own_flow_context(stack, assets)
        return function()


def _enter_own_flow_context(stack: ExitStack, assets: dict[str, Any] | None) -> None:
    flow = FlowRunContext.get()
    if flow is not None and flow.flow is not None:
        own: dict[str, Any] = {name: {} for name in _OWN_FIELDS if name in type(flow).model_fields}
        # Connects when the task submits something; leaving it waits for what the task has submitted.
        runner = flow.flow.task_runner
        own["task_runner"] = stack.enter_context(getattr(runner, "for_task", runner.duplicate)())
        stack.enter_context(flow.model_copy(update=own))
    if assets:
        stack.enter_context(AssetContext(**assets))


async def _open_async_client() -> None:
    await AsyncClientContext().__aenter__()


async def _close_async_client() -> None:
    if (client := AsyncClientContext.get()) is not None:
        await client.__aexit__(None, None, None)


async def _cancel_others() -> None:
    """Cancel what a task has left on the loop, as `asyncio.run` would."""
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    if left:
        await asyncio.gather(*left, return_exceptions=True)
