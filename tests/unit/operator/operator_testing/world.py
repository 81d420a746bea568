"""A whole operator over the fake API, on a clock of its own: seconds pass only when a test says so."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from flowrun_operator.api.flowrun import PrefectFlowRun
from flowrun_operator.loop import reconciler as reconciler_module
from flowrun_operator.loop.act import Actor
from flowrun_operator.loop.cache import Cache
from flowrun_operator.loop.keys import Key
from flowrun_operator.loop.queue import WorkQueue
from flowrun_operator.loop.reconciler import Reconciler
from flowrun_operator.loop.refusals import Refusals
from flowrun_operator.model import Defaults
from flowrun_operator.wiring import RESOURCES, keys_of
from operator_testing.builders import DEFAULTS, NAMESPACE, NOW, raw_run
from operator_testing.fake_api import Crash, FakeApi, Nodes

_MAX_RECONCILES = 500


class FakePrefect:
    """A Prefect that finds every flow run and remembers what it was told."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, str]] = []
        self.down = False

    async def find(self, api_url: str, key: str) -> PrefectFlowRun | None:
        return PrefectFlowRun(id=f"id-of-{key}", name="etl", state="RUNNING")

    async def report_end(self, api_url: str, key: str, state_type: str, message: str) -> None:
        self._hear(key, state_type)

    async def report_wait(self, api_url: str, key: str, name: str, message: str) -> None:
        self._hear(key, name)

    async def announce_cancel(self, api_url: str, key: str) -> None:
        self._hear(key, "CANCELLING")

    def _hear(self, key: str, what: str) -> None:
        if self.down:
            raise ConnectionError("down")
        self.reports.append((key, what))


class World:
    """Operator, API server and nodes."""

    def __init__(self, monkeypatch: Any, defaults: Defaults = DEFAULTS, prefect_api_key: str | None = None) -> None:
        self.seconds = 0.0
        self.api = FakeApi()
        self.api.now = self.now
        self.nodes = Nodes(self.api)
        self.prefect = FakePrefect()
        self.crashes = 0
        self.errors: list[Exception] = []
        self._defaults, self._key = defaults, prefect_api_key
        # Delays of the status are measured on this clock too.
        monkeypatch.setattr(reconciler_module, "time", self)
        self.start_operator()

    def now(self):
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def start_operator(self) -> None:
        """Start an operator that knows only what the API server tells."""
        self.cache, self.queue = Cache(Refusals(self.monotonic)), WorkQueue(self.monotonic)
        actor = Actor(self.api, self.prefect, self.cache, self._key)
        self.reconciler = Reconciler(self.cache, self.queue, self.api, actor, self._defaults, self.now)
        self.api.listeners = [self._watch]
        for kind in RESOURCES:
            for raw in self.api.of(kind):
                self._watch("ADDED", kind, raw)

    def _watch(self, event: str, kind: str, raw: dict) -> None:
        if kind not in RESOURCES:
            return
        self.cache.forget(kind, raw) if event == "DELETED" else self.cache.feed(kind, raw)
        for key in keys_of(kind, raw):
            self.queue.put(key)

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
        while (key := await self._due()) is not None:
            count += 1
            assert count < _MAX_RECONCILES, "the queue does not come to rest"
            try:
                await self.reconciler.reconcile(key)
                self.queue.succeeded(key)
            except Crash:
                self.crashes += 1
                self.api.crash_after = None
                self.start_operator()
                continue
            except Exception as error:
                self.errors.append(error)
                self.queue.put_failed(key)
            self.queue.done(key)
            await asyncio.sleep(0)  # background look-ups and reports
        return count

    async def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass: the nodes do a step, the operator what is due."""
        for _ in range(int(seconds / step)):
            self.seconds += step
            self.nodes.step()
            await self.work()

    async def _due(self) -> Key | None:
        getting = asyncio.create_task(self.queue.get())
        await asyncio.sleep(0)
        if getting.done():
            return getting.result()
        getting.cancel()  # it waits: nothing is due
        await asyncio.gather(getting, return_exceptions=True)
        return None
