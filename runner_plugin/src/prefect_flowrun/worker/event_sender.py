"""Sends events to Prefect in batches, no faster than the server records them, and again what it has lost.

Prefect's own queue hands each event through three threads and takes it for recorded once it is sent. A self-hosted
server keeps what it has not recorded yet in a queue of 10 000 events, for all of its clients, and drops what comes
beyond. So here a worker has a few hundred task runs under way at most, and asks the server about them.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.context import FlowRunContext, SettingsContext
from prefect.events.clients import EventsClient, PrefectCloudEventsClient, get_events_client
from prefect.events.related import related_resources_from_run_context

from prefect_flowrun.worker.composed_event import ComposedEvent
from prefect_flowrun.worker.unrecorded import SENT_AT_MOST, Unrecorded

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun
    from prefect.events import Event

logger = logging.getLogger("prefect.flowrun.events")

# One turn of the loop for all events of a moment.
BATCH_S = 0.05
CHECKPOINT_EVERY = 100
# How often the server is asked, at first and at most.
ASK_S, ASK_AT_MOST_S = 0.25, 2.0
# So many without an answer, and what was sent is taken for recorded.
QUESTIONS = 10
RECONNECT_S, RECONNECT_AT_MOST_S = 1.0, 15.0
LOOK_S = 0.01
EXIT_TIMEOUT_S = 2.0
_KEPT_RELATED = 64


@dataclass
class Outgoing:
    """An event, and where it belongs."""

    event: ComposedEvent
    flow: FlowRunContext
    """Of which Prefect finds out what the event is related to."""
    ends: UUID | None
    """The task run whose final state this is."""


class Sender:
    """Sends to one Prefect API, in a thread of its own. Methods may be called from any thread."""

    def __init__(self, settings: SettingsContext | None) -> None:
        """Begin with nothing; the thread starts with the first event.

        Args:
            settings: say where the API is; None means those of the process.
        """
        self._settings = settings
        self._queue: deque[Outgoing] = deque()
        self._unrecorded: Unrecorded[Outgoing] = Unrecorded()
        self._related: OrderedDict[UUID, list[dict[str, str]]] = OrderedDict()
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._counting = threading.Lock()
        self._sent = self._arrived = self._drains = 0
        self._failed_questions = 0

    def send(self, outgoing: Outgoing) -> None:
        """Queue an event.

        Args:
            outgoing: the event.
        """
        self._queue.append(outgoing)
        if self._loop is not None:
            if len(self._queue) == 1:  # else the loop is at work, and looks again
                self._call(self._wake.set)
        elif self._starting.acquire(blocking=False):
            threading.Thread(target=self._thread, name="flowrun-events", daemon=True).start()

    def drain(self, timeout: float) -> bool:
        """Send all that is queued, however far behind the server is; the sender goes on afterwards.

        Args:
            timeout: longest wait, in seconds.

        Returns:
            Whether all was sent in time.
        """
        deadline = time.monotonic() + timeout
        with self._counting:
            all_of_now = self._sent + len(self._queue)
            self._drains += 1
        self._unrecorded.hurry()
        try:
            while self._arrived < all_of_now:
                self._call(self._wake.set)
                if time.monotonic() > deadline:
                    return False
                time.sleep(LOOK_S)
            return True
        finally:
            with self._counting:
                self._drains -= 1

    def _call(self, function: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has been closed: the process ends
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function)

    def _thread(self) -> None:
        with self._settings.model_copy() if self._settings is not None else nullcontext():
            asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        pause = RECONNECT_S
        while True:
            try:
                async with get_client() as api:
                    while True:
                        await self._until_there_is_something(api)
                        await self._work(api)
                        pause = RECONNECT_S
            except Exception as error:
                # What was under way comes again: the server knows an event by its id.
                self._queue.extendleft(reversed(self._unrecorded.take_all()))
                logger.debug("Events could not be sent: %r", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, RECONNECT_AT_MOST_S)

    async def _work(self, api: PrefectClient) -> None:
        """Send over one connection."""
        # A confirmation every so often, without which the client keeps what it has sent.
        async with get_events_client(checkpoint_every=CHECKPOINT_EVERY) as events:
            if isinstance(events, PrefectCloudEventsClient):
                self._unrecorded.ask = False  # it is not so easily overrun
            while True:
                await self._send_batch(api, events)
                if not self._drains:
                    await asyncio.sleep(BATCH_S)
                elif not await self._see_arrive(events):
                    break  # leaving the connection flushes it
                await self._until_there_is_something(api)
        self._arrived = self._sent

    async def _see_arrive(self, events: EventsClient) -> bool:
        """Wait until the server has read all that was sent; False where this client does not tell."""
        websocket: Any = getattr(events, "_websocket", None)
        if not hasattr(websocket, "ping"):
            return False
        sent = self._sent
        # Also because closing the connection to a busy server takes longer than it is given.
        await (await websocket.ping())
        self._arrived = sent
        return True

    async def _until_there_is_something(self, api: PrefectClient) -> None:
        while not self._queue and not (self._drains and self._arrived < self._sent):
            self._wake.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), ASK_AT_MOST_S if self._unrecorded else None)
            if not self._queue and self._unrecorded:
                await self._ask(api)

    async def _send_batch(self, api: PrefectClient, events: EventsClient) -> None:
        pause = ASK_S
        while self._unrecorded.full and not self._drains:
            await self._ask(api)
            if self._unrecorded.full:
                await asyncio.sleep(pause)
                pause = min(2 * pause, ASK_AT_MOST_S)
        for _ in range(min(len(self._queue), self._unrecorded.room)):
            outgoing = self._queue[0]
            outgoing.event.relate(await self._related_to(api, outgoing.flow))
            await events.emit(cast("Event", outgoing.event))
            with self._counting:
                self._queue.popleft()
                self._sent += 1
            if outgoing.ends is not None:
                self._unrecorded.add(outgoing.ends, outgoing)

    async def _ask(self, api: PrefectClient) -> None:
        """Ask the server for what it has recorded; what it has lost is queued again."""
        asked = self._unrecorded.oldest()
        try:
            recorded = await _recorded(api, asked)
            lost = self._unrecorded.note(asked, recorded, time.monotonic())
            found = set(await _which(api, lost)) if lost else set()
        except httpx.HTTPError as error:
            self._failed_questions += 1
            self._unrecorded.ask = self._failed_questions < QUESTIONS
            logger.debug("Prefect could not be asked for task runs: %r", error)
            return
        self._failed_questions = 0
        if not lost:
            return
        again, given_up = self._unrecorded.lost(lost, found)
        if again:
            logger.warning("Prefect has not recorded the end of %d task run(s); sending it again", len(again))
            self._queue.extend(again)
        if given_up:
            logger.warning("Prefect does not record the end of %d task run(s), sent %d times", given_up, SENT_AT_MOST)

    async def _related_to(self, api: PrefectClient, flow: FlowRunContext) -> list[dict[str, str]]:
        """Return what all events of a flow run are related to.

        Not the tags of the run, the flow and the deployment, which Prefect adds: each is one more row that the server
        writes, and validates five times.
        """
        key = cast("FlowRun", flow.flow_run).id
        if key not in self._related:
            context = Context()
            context.run(FlowRunContext.__var__.set, flow)
            task = asyncio.create_task(related_resources_from_run_context(client=api), context=context)
            self._related[key] = [dict(each.root) for each in await task if each.role != "tag"]
            if len(self._related) > _KEPT_RELATED:
                self._related.popitem(last=False)
        return self._related[key]


async def _recorded(api: PrefectClient, ids: Iterable[UUID]) -> int:
    response: Any = await api.request("POST", "/task_runs/count", json={"task_runs": _ended(ids)})
    return int(response.json())


async def _which(api: PrefectClient, ids: Iterable[UUID]) -> list[UUID]:
    body = {"task_runs": _ended(ids), "limit": 200}
    response: Any = await api.request("POST", "/task_runs/filter", json=body)
    return [UUID(run["id"]) for run in response.json()]


def _ended(ids: Iterable[UUID]) -> dict[str, Any]:
    final = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]
    return {"id": {"any_": [str(each) for each in ids]}, "state": {"type": {"any_": final}}}


_senders: dict[Any, Sender] = {}
_lock = threading.Lock()


def sender(api: tuple[str | None, ...]) -> Sender:
    """Return this process's sender to a Prefect API.

    Args:
        api: its URL and key, of this context's settings.
    """
    with _lock:
        if api not in _senders:
            _senders[api] = Sender(SettingsContext.get())
        return _senders[api]


def drain(timeout: float) -> bool:
    """Have all senders of this process send what is queued.

    Args:
        timeout: longest wait, in seconds.

    Returns:
        Whether all was sent in time.
    """
    deadline = time.monotonic() + timeout
    drained = [each.drain(max(0.0, deadline - time.monotonic())) for each in list(_senders.values())]
    return all(drained)


def forget() -> None:
    """Begin anew in a forked process: the threads did not come along."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    _senders.clear()


atexit.register(drain, EXIT_TIMEOUT_S)
