"""The level-driven loop: observe -> decide -> act, then at most one status patch.

Nothing here decides. If a bug wants a special case in this file, the decision is in the wrong place.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from pydantic import ValidationError

from flowrun_operator import metrics
from flowrun_operator.decide import decide_cluster, decide_run
from flowrun_operator.decide.plan import Confirm, ConfirmPod, Create, LookAtRoom, Plan
from flowrun_operator.decide.unreadable import unreadable
from flowrun_operator.kube.client import KubeClient
from flowrun_operator.kube.errors import ApiError, asked_s
from flowrun_operator.loop.act import Actor
from flowrun_operator.loop.cache import Cache
from flowrun_operator.loop.farewell import Farewell
from flowrun_operator.loop.keys import Key
from flowrun_operator.loop.queue import WorkQueue
from flowrun_operator.model import Defaults, RunView
from flowrun_operator.observe.fields import Raw, at, family, owner_name, standalone
from flowrun_operator.observe.snapshot import cluster_view, run_view

log = logging.getLogger(__name__)

# Changes of the status that are not final wait this long for company: workers come up in bunches.
_STATUS_DELAY_S = 1.0
# When a plan with a refused create is looked at again, should `Refusals` not say.
_REFUSED_DELAY_S = 1.0


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Reconciler:
    """Reconciles the keys of a queue.

    Args:
        cache: What is known.
        queue: What to look at.
        kube: For status patches.
        actor: Carries out actions.
        defaults: The operator's settings that end up in children.
        clock: The time; tests give their own.
    """

    def __init__(
        self,
        cache: Cache,
        queue: WorkQueue,
        kube: KubeClient,
        actor: Actor,
        defaults: Defaults,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._kube = kube
        self._actor = actor
        self._defaults = defaults
        self._clock = clock
        self._farewell = Farewell(cache, queue, actor, self._look_at_run)
        self._status_since: dict[Key, float] = {}

    async def run(self, workers: int = 8) -> None:
        """Work on the queue until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            metrics.QUEUE_DEPTH.set(len(self._queue))
            started = time.monotonic()
            try:
                await self.reconcile(key)
                self._queue.succeeded(key)
                metrics.RECONCILES.labels(key.kind, "ok").inc()
            except Exception as error:  # one bad object must not stop the others (F30)
                delay_s = self._queue.put_failed(key, asked_s(error))
                metrics.RECONCILES.labels(key.kind, "error").inc()
                expected = isinstance(error, ApiError)
                extra = {"kind": key.kind, "namespace": key.namespace, "object": key.name, "retry_s": delay_s}
                log.warning("Reconcile failed: %s", error, extra=extra, exc_info=not expected)
            finally:
                metrics.RECONCILE_SECONDS.labels(key.kind).observe(time.monotonic() - started)
                self._queue.done(key)

    async def reconcile(self, key: Key) -> None:
        """Bring one object a step closer to what it should be.

        Raises:
            ApiError: A request failed; the key must be tried again.
        """
        if key.kind == "FlowRun":
            await self._farewell.say(key, self._clock())
        raw = self._cache.get(key.kind, key.namespace, key.name)
        if raw is None:
            self._status_since.pop(key, None)
            return
        plan = self._decide_or_say(key, raw)
        if plan.takes:  # before anything else is decided
            self._actor.rooms.begin(key.namespace, at(raw, "metadata", "uid"), plan.takes)
        if plan.fresh:
            await self._actor.look(key.kind, key.namespace, key.name)
            if self._cache.get(key.kind, key.namespace, key.name) is not raw:  # another by now, or gone: decide anew
                self._queue.put(key)
                return
        run_uid = at(raw, "metadata", "uid") if key.kind == "FlowRun" else ""
        all_created = True
        for stage in (*plan.first, plan.actions):
            all_created = all_created and await self._actor.carry_out(stage, key.namespace, run_uid)
        if all_created:
            self._go_on(key, plan)
        else:
            self._queue.put(key, self._refused_for_s(key, plan))
        if not all_created:
            plan = self._decide(key, raw)  # the refusals belong into this status
        await self._write_status(key, raw, plan)
        if all_created and plan.requeue_after_s is not None:
            self._queue.put(key, min(plan.requeue_after_s, 3600.0))

    def _go_on(self, key: Key, plan: Plan) -> None:
        """Decide once more at once where the plan brought news: what was created or confirmed is in the cache."""
        for action in plan.actions:
            if isinstance(action, Create):
                self._queue.put(key)
                if action.manifest["kind"] == "TaskCluster":
                    self._queue.put(Key("TaskCluster", key.namespace, action.manifest["metadata"]["name"]))
            elif isinstance(action, Confirm | ConfirmPod | LookAtRoom):
                self._queue.put(key)

    def _decide_or_say(self, key: Key, raw: Raw) -> Plan:
        """Decide; of a FlowRun that can't be read say why (F30)."""
        try:
            return self._decide(key, raw)
        except ValidationError as error:
            plan = unreadable(raw, error, self._clock()) if key.kind == "FlowRun" else None
            if plan is None:
                raise
            return plan

    def _refused_for_s(self, key: Key, plan: Plan) -> float:
        """Return when the first refused create is due: looking earlier would repeat the others in vain (I6)."""
        creates = [a for stage in (*plan.first, plan.actions) for a in stage if isinstance(a, Create)]
        waits = [self._cache.refusals.wait_s((key.namespace, c.manifest["metadata"]["name"])) for c in creates]
        return min((wait_s for wait_s in waits if wait_s > 0), default=_REFUSED_DELAY_S)

    def _look_at_run(self, key: Key, raw: Raw) -> RunView:
        return run_view(
            raw,
            jobs=self._cache.of_run("Job", key.namespace, key.name),
            clusters=self._cache.of_run("TaskCluster", key.namespace, key.name),
            pods=self._cache.of_run("Pod", key.namespace, key.name),
            defaults=self._defaults,
            problems=self._cache.problems_in(key.namespace),
            explanations=self._cache.explanations,
            flow_runs=self._cache.flow_runs.get(at(raw, "metadata", "uid"), {}),
            gone_jobs=self._cache.gone_jobs_in(key.namespace),
            podless_jobs=self._cache.podless_jobs_in(key.namespace),
            told=self._cache.told.get(at(raw, "metadata", "uid"), ""),
            begun=self._cache.begun.get((key.namespace, at(raw, "metadata", "uid")), 0),
        )

    def _decide(self, key: Key, raw: Raw) -> Plan:
        if key.kind == "FlowRun":
            return self._decide_run(self._look_at_run(key, raw), raw)
        siblings = family(raw) if at(raw, "spec", "flowRun") else standalone(key.name)
        return decide_cluster(
            cluster_view(
                raw,
                services=self._cache.of_run("Service", key.namespace, siblings),
                pods=self._cache.of_run("Pod", key.namespace, siblings),
                defaults=self._defaults,
                problems=self._cache.problems_in(key.namespace),
                explanations=self._cache.explanations,
                run=self._cache.get("FlowRun", key.namespace, at(raw, "spec", "flowRun", "name") or ""),
            ),
            self._clock(),
        )

    def _decide_run(self, view: RunView, raw: Raw) -> Plan:
        plan = decide_run(view, self._clock())
        if LookAtRoom() not in plan.actions or (room := self._actor.rooms.seen_by(raw)) is None:
            return plan
        # Only now, for the few that are about to start: it takes a look at every run of the namespace.
        return decide_run(replace(view, room=room), self._clock())

    async def _write_status(self, key: Key, raw: Raw, plan: Plan) -> None:
        if plan.status is None:
            return
        # A merge patch removes a field only by null.
        wanted = plan.status.to_api()
        present = at(raw, "status") or {}
        if wanted == present:
            self._status_since.pop(key, None)
            return
        waited_s = time.monotonic() - self._status_since.setdefault(key, time.monotonic())
        if not plan.final and waited_s < _STATUS_DELAY_S:
            self._queue.put(key, _STATUS_DELAY_S - waited_s)
            return
        body = {**dict.fromkeys(present.keys() - wanted.keys()), **wanted}
        try:
            version = at(raw, "metadata", "resourceVersion")
            patched = await self._kube.patch_status(key.kind, key.namespace, key.name, body, version)
        except ApiError as error:
            if error.not_found:  # no watch has told it yet; deciding on a ghost would create its children again
                self._cache.forget(key.kind, raw)
                if job := owner_name(raw, "Job"):  # gone too, perhaps: while it seems to live, its cluster is made anew
                    await self._actor.carry_out((Confirm(job),), key.namespace, "")
                self._queue.put(key)
                return
            raise  # 409: somebody wrote meanwhile; decide anew on what is there then
        self._status_since.pop(key, None)
        self._cache.feed(key.kind, patched)
        ended = patched["status"].get("completionTime") and not present.get("completionTime")
        if ended and key.kind == "FlowRun":
            metrics.RUNS_FINISHED.labels(patched["status"].get("state", "")).inc()
