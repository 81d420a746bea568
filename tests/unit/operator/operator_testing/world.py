"""A whole operator over the fake API, on a clock of its own: seconds pass only when a test says so."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from datetime import datetime, timedelta
from typing import Any

from flowrun_api.kinds.flowrun import PrefectFlowRun
from flowrun_operator.kube.errors import ApiError, asked_s
from flowrun_operator.loop import reconciler as reconciler_module
from flowrun_operator.loop.act import Actor
from flowrun_operator.loop.cache import Cache
from flowrun_operator.loop.keys import Key
from flowrun_operator.loop.queue import WorkQueue
from flowrun_operator.loop.reconciler import Reconciler
from flowrun_operator.loop.refusals import Refusals
from flowrun_operator.loop.resync import _resync as resync_kind
from flowrun_operator.model import Defaults
from flowrun_operator.wiring import RESOURCES, keys_of
from operator_testing.builders import DEFAULTS, NAMESPACE, NOW, raw_run
from operator_testing.fake_api import FakeApi, copied
from operator_testing.faults import Change, Crash, Fault
from operator_testing.nodes import Nodes

_MAX_RECONCILES = 500
_RESYNC_S = 120.0


class FakePrefect:
    """A Prefect that finds every flow run and remembers what it was told."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, str]] = []
        self.down = False
        self.fault = Fault()

    async def find(self, api_url: str, key: str) -> PrefectFlowRun | None:
        self.fault.prefect()
        return PrefectFlowRun(id=f"id-of-{key}", name="etl", state="RUNNING")

    async def report_end(self, api_url: str, key: str, attempt: int, state_type: str, message: str) -> None:
        self._hear(key, state_type)

    async def report_wait(self, api_url: str, key: str, attempt: int, name: str, message: str) -> None:
        self._hear(key, name)

    async def announce_cancel(self, api_url: str, key: str) -> None:
        self._hear(key, "CANCELLING")

    def _hear(self, key: str, what: str) -> None:
        self.fault.prefect()
        if self.down:
            raise ConnectionError("down")
        self.reports.append((key, what))


class _Queue(WorkQueue):
    def is_due(self) -> bool:
        """Whether `get` would not wait: asking it costs a task."""
        return bool(self._heap) and self._heap[0][0] <= self._clock()


class Operator:
    """The parts of one operator process, fed by watches that may lag (`lag_s`) or be disturbed by a fault."""

    def __init__(self, world: World, lag_s: float = 0.0) -> None:
        self._world, self._lag_s = world, lag_s
        self._late: dict[str, deque[tuple[float, str, dict]]] = defaultdict(deque)
        self._relist_at: float | None = None
        self.cache, self.queue = Cache(Refusals(world.monotonic)), _Queue(world.monotonic)
        actor = Actor(world.api, world.prefect, self.cache, world.key)
        self.reconciler = Reconciler(self.cache, self.queue, world.api, actor, world.defaults, world.operator_now)

    def hear(self, change: Change) -> None:
        """Take an event from the API server, or lose it."""
        now, fault = self._world.seconds, self._world.api.fault
        breaks_for_s = fault.relist_after_s(change)
        if breaks_for_s is not None:
            self._relist_at = now + breaks_for_s
        delay_s = fault.delay_s(change)
        if self._relist_at is not None or delay_s is None:
            return
        self._hear_at(now + delay_s + self._lag_s, change)

    def _hear_at(self, due: float, change: Change) -> None:
        late = self._late[change.kind]
        if late or due > self._world.seconds:  # the order within one watch is kept
            late.append((due, change.event, change.raw))
        else:
            self.take(change.event, change.kind, change.raw)

    def catch_up(self) -> None:
        """Take what was late and is due, and list anew what broke."""
        for kind, late in self._late.items():
            while late and late[0][0] <= self._world.seconds:
                _, event, raw = late.popleft()
                self.take(event, kind, raw)
        if self._relist_at is not None and self._relist_at <= self._world.seconds:
            self._relist_at = None
            self.list_all(self._world.api.objects.values())

    def start_stale(self, history: list[Change], lacks: int) -> None:
        """Begin with an old list; the watch tells the rest 3 s later (F06)."""
        old: dict[str, Change] = {}
        for change in history[: len(history) - lacks]:
            uid = change.raw["metadata"]["uid"]
            if change.event == "DELETED":
                old.pop(uid, None)
            else:
                old[uid] = change
        self.list_all(change.raw for change in old.values())
        for change in history[len(history) - lacks :]:
            self._hear_at(self._world.seconds + 3.0, change)

    def list_all(self, objects: Any) -> None:
        for raw in sorted(objects, key=lambda o: (o["kind"], o["metadata"]["name"])):
            if raw["kind"] in RESOURCES:
                self.take("ADDED", raw["kind"], copied(raw))

    def take(self, event: str, kind: str, raw: dict) -> None:
        if event == "DELETED":
            self.cache.forget(kind, raw)
        else:
            self.cache.feed(kind, raw)
        for key in keys_of(kind, raw):
            self.queue.put(key)


class World:
    """Operator, API server and nodes."""

    def __init__(
        self,
        monkeypatch: Any,
        defaults: Defaults = DEFAULTS,
        prefect_api_key: str | None = None,
        fault: Fault | None = None,
    ) -> None:
        self.seconds = 0.0
        self.fault = fault or Fault()
        self.fault.clock = self.monotonic
        self.api = FakeApi()
        self.api.now, self.api.fault = self.now, self.fault
        self.nodes = Nodes(self.api)
        self.prefect = FakePrefect()
        self.prefect.fault = self.fault
        self.crashes = 0
        self.errors: list[Exception] = []
        self.defaults, self.key = defaults, prefect_api_key
        self.changes = 0
        self.history: list[Change] = []
        self.operators: list[Operator] = []
        self._restart_at: float | None = None
        self._next_resync = _RESYNC_S
        # Delays of the status are measured on this clock too.
        monkeypatch.setattr(reconciler_module, "time", self)
        self.start_operator()

    @property
    def cache(self) -> Cache:
        return self.operators[0].cache

    @property
    def queue(self) -> WorkQueue:
        return self.operators[0].queue

    @property
    def reconciler(self) -> Reconciler:
        return self.operators[0].reconciler

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def operator_now(self) -> datetime:
        return self.now() + timedelta(seconds=self.fault.skew_s)

    def monotonic(self) -> float:
        return self.seconds

    def start_operator(self) -> None:
        """Start an operator that knows only what the API server tells."""
        self.operators = [Operator(self, lag_s=0.5 * index) for index in range(self.fault.operators)]
        self.api.listeners, self.api.dead, self._restart_at = [self._watch], False, None
        if self.fault.stale and self.crashes:
            self.operators[0].start_stale(self.history, min(self.fault.stale, len(self.history)))
            return
        for operator in self.operators:
            operator.list_all(self.api.objects.values())

    def stop_operator(self) -> None:
        """Stop the operator; nobody tells anybody anything any more."""
        self.api.listeners, self.operators = [], []

    def _watch(self, event: str, kind: str, raw: dict) -> None:
        if kind not in RESOURCES:
            return
        self.changes += 1
        change = Change(self.changes, event, kind, raw)
        if self.fault.stale:
            self.history.append(Change(self.changes, event, kind, copied(raw)))
        for operator in self.operators:
            operator.hear(change if len(self.operators) == 1 else change._replace(raw=copied(raw)))

    def apply(self, **spec: Any) -> None:
        run = raw_run(spec=spec)
        run["metadata"].pop("uid")
        self.api.add(run)

    def set_spec(self, **spec: Any) -> None:
        self.api.change("FlowRun", NAMESPACE, "etl", lambda raw: raw["spec"].update(spec))

    @property
    def run(self) -> dict:
        return self.api.objects["FlowRun", NAMESPACE, "etl"]

    @property
    def status(self) -> dict:
        return self.run.get("status") or {}

    def condition(self, type_: str = "Succeeded") -> dict:
        return next((c for c in self.status.get("conditions", []) if c["type"] == type_), {})

    async def work(self) -> int:
        """Reconcile all that is due now; return how often. A crash starts a new operator."""
        count = 0
        while (due := await self._due()) is not None:
            operator, key = due
            count += 1
            assert count < _MAX_RECONCILES, "the queue does not come to rest"
            try:
                await operator.reconciler.reconcile(key)
                operator.queue.succeeded(key)
            except Crash:
                self._crashed()
                continue
            except Exception as error:
                self.errors.append(error)
                operator.queue.put_failed(key, asked_s(error))
            operator.queue.done(key)
            await asyncio.sleep(0)  # background look-ups and reports
        return count

    def _crashed(self) -> None:
        self.crashes += 1
        self.api.crash_after = None
        self.stop_operator()
        self.fault.away(self.api.objects.values())
        if self.fault.downtime_s:
            self._restart_at = self.seconds + self.fault.downtime_s
        else:
            self.start_operator()

    async def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass: the nodes do a step, the operator what is due."""
        for _ in range(int(seconds / step)):
            self.seconds += step
            if self._restart_at is not None and self.seconds >= self._restart_at:
                self.start_operator()
            self.nodes.step()
            for operator in self.operators:
                operator.catch_up()
            if self.seconds >= self._next_resync:
                self._next_resync = self.seconds + _RESYNC_S
                await self.resync()
            await self.work()

    async def resync(self) -> None:
        """Compare every operator's cache with the API server, as each does by itself now and then."""
        for operator in self.operators:
            try:
                for kind in RESOURCES:
                    await resync_kind(kind, "", self.api, operator.cache, operator.queue, keys_of)
            except ApiError as error:  # the next one may succeed
                self.errors.append(error)
            except Crash:  # of a write whose plan failed for another reason first: it has gone unseen until now
                self._crashed()
                return

    async def _due(self) -> tuple[Operator, Key] | None:
        for operator in self.operators:
            while operator.queue.is_due():
                getting = asyncio.create_task(operator.queue.get())
                await asyncio.sleep(0)
                if getting.done():
                    return operator, getting.result()
                getting.cancel()  # what was due had been overtaken
                await asyncio.gather(getting, return_exceptions=True)
        return None
