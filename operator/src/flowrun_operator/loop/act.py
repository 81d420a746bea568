"""Carrying out plans: the only place where a decision becomes a request.

Creates and deletes of one plan run concurrently. A refusal that a user must see becomes a `Problem` in the cache, from
which the next decision makes a condition; any other failure fails the reconcile and is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterable

import aiohttp

from flowrun_api.constants import OVERDUE_S, ROLE_DRIVER, ROLE_WORKER
from flowrun_api.contract import idempotency_key
from flowrun_operator.build.labels import labels, selector
from flowrun_operator.build.secrets import KEY_IN_SECRET, TOKEN_IN_SECRET
from flowrun_operator.decide.plan import (
    Action,
    AnnounceCancel,
    Confirm,
    ConfirmPod,
    Create,
    Delete,
    DeleteWorkers,
    DropReport,
    EndSidecars,
    Explain,
    LookAtRoom,
    LookUpFlowRun,
    ReportToPrefect,
    Scale,
    Waiting,
)
from flowrun_operator.kube.client import KubeClient
from flowrun_operator.kube.errors import ApiError, asked_s
from flowrun_operator.loop.cache import CHILD_KINDS, Cache
from flowrun_operator.loop.rooms import Rooms
from flowrun_operator.model import Problem
from flowrun_operator.observe.events import explanation
from flowrun_operator.observe.fields import Raw, at, family, owner_uid
from flowrun_operator.observe.refusals import refusal
from flowrun_operator.prefect_api.client import PrefectApi

log = logging.getLogger(__name__)

# Requests of one plan under way at once.
_CONCURRENCY = 32
# A try to tell Prefect something, several requests; and how long a teardown waits for a word to Prefect.
_REPORT_S = 20.0
# How often the events of one object are read: at first, and at last.
_EXPLAIN_S, _EXPLAIN_AT_MOST_S = 3.0, 60.0
_ANNOUNCE_S = 1.0
# Where reports that Prefect did not hear are remembered among the refusals; no namespace has such a name.
_PREFECT = "/prefect"
_PREFECT_ERRORS = (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError)


class Actor:
    """Carries out actions.

    Args:
        kube: The API client.
        prefect: The Prefect client.
        cache: Where results are fed back.
        prefect_api_key: Put into the Secret that carries it to a run's namespace.
    """

    def __init__(self, kube: KubeClient, prefect: PrefectApi, cache: Cache, prefect_api_key: str | None) -> None:
        self._kube = kube
        self._prefect = prefect
        self._cache = cache
        self._key = prefect_api_key
        self._limit = asyncio.Semaphore(_CONCURRENCY)
        self._reports: dict[str, asyncio.Task[None]] = {}
        self._look_ups: dict[str, asyncio.Task[None]] = {}
        self._explaining: dict[str, asyncio.Task[None]] = {}
        self.rooms = Rooms(cache)
        self._explained = cache.refusals.others(_EXPLAIN_S, _EXPLAIN_AT_MOST_S)

    async def carry_out(self, actions: Iterable[Action], namespace: str, run_uid: str) -> bool:
        """Carry out a plan's actions.

        Args:
            actions: What to do.
            namespace: Where.
            run_uid: The FlowRun's uid, by which Prefect's flow run is found.

        Returns:
            Whether every create succeeded; a refused one is in `cache.problems`.

        Raises:
            ApiError: The first request that failed for a reason that isn't the user's, or the one after which the API
                server asks for the longest wait.
        """
        results = await asyncio.gather(
            *(self._one(action, namespace, run_uid) for action in actions), return_exceptions=True
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            raise max(failures, key=asked_s)
        return all(results)

    async def _one(self, action: Action, namespace: str, run_uid: str) -> bool:
        async with self._limit:
            match action:
                case Create():
                    return await self._create(action)
                case Delete():
                    await self._delete(action, namespace)
                case DeleteWorkers():
                    await self._delete_workers(action, namespace)
                case EndSidecars():
                    await self._end_sidecars(action, namespace)
                case Scale(name=name, replicas=replicas, resource_version=version):
                    await self._kube.scale("TaskCluster", namespace, name, replicas, version)
                case ConfirmPod():
                    await self._confirm_pod(action, namespace)
                case Confirm(job=name):
                    await self._confirm(name, namespace)
                case LookAtRoom():
                    await self._look_at_room(namespace)
                case AnnounceCancel(api_url=url):
                    await self._announce(url, run_uid)
                case _:
                    self._in_background(action, namespace, run_uid)
        return True

    def _in_background(
        self, action: Explain | LookUpFlowRun | ReportToPrefect | DropReport, namespace: str, run_uid: str
    ) -> None:
        """Do what nobody waits for: its outcome is in a later view."""
        match action:
            case Explain(uid=uid):
                self._explain(uid, namespace)
            case LookUpFlowRun():
                self._look_up(action, run_uid)
            case ReportToPrefect():
                self._report(action, run_uid)
            case DropReport():
                self._drop_report(run_uid)

    async def _create(self, action: Create) -> bool:
        manifest = action.manifest
        kind, metadata = manifest["kind"], manifest["metadata"]
        where = (metadata["namespace"], metadata["name"])
        if kind == "Secret":
            manifest = self._filled(manifest)
        if self._cache.refusals.waits(where):
            return False
        try:
            created = await self._kube.create(manifest)
        except ApiError as error:
            if error.already_exists:
                return kind == "Secret" or await self._adopt(kind, where, action)
            if not error.refused:
                raise
            # 403 has two meanings: a quota or policy said no, or the operator lacks a right.
            self._refuse(where, refusal(error.message, error.reason or "Refused"))
            return False
        self._accept(where)
        if kind in CHILD_KINDS:
            self._cache.feed(kind, created)
        return True

    async def _look_at_room(self, namespace: str) -> None:
        pods = self.rooms.pods(namespace)
        try:
            quotas = (await self._kube.list("ResourceQuota", namespace)).get("items", [])
        except ApiError as error:
            # Without the right to read them, or while they can't be read: as in a namespace that has none.
            log.warning("Quotas are not known: %s", error, extra={"namespace": namespace})
            quotas = []
        self.rooms.learn(namespace, quotas, pods)

    def _filled(self, manifest: Raw) -> Raw:
        """Return a Secret with what no plan holds: the operator's key, or a new random word."""
        private = {KEY_IN_SECRET: self._key or "", TOKEN_IN_SECRET: secrets.token_hex(32)}
        values = {key: private.get(key, value) for key, value in manifest["stringData"].items()}
        return {**manifest, "stringData": values}

    def _refuse(self, where: tuple[str, str], problem: Problem) -> None:
        self._cache.problems[where] = problem
        self._cache.refusals.refused(where)

    def _accept(self, where: tuple[str, str]) -> None:
        self._cache.problems.pop(where, None)
        self._cache.refusals.accepted(where)

    async def _adopt(self, kind: str, where: tuple[str, str], action: Create) -> bool:
        """Take an existing object for ours only if its owner says so (F02, F15)."""
        existing = await self._kube.get(kind, *where)
        if owner_uid(existing) != action.owner_uid:
            message = f"{kind} {where[1]} exists and is not this run's: delete it, or choose another name for the run"
            self._refuse(where, Problem("NameConflict", message))
            return False
        if kind not in CHILD_KINDS:  # nobody watches it
            self._accept(where)
            return True
        self._cache.feed(kind, existing)
        ours = self._cache.of_run(kind, where[0], family(action.manifest))
        if all(at(known, "metadata", "uid") != at(existing, "metadata", "uid") for known in ours):
            # No watch tells of it: created again and again it would be a hot loop.
            message = f"{kind} {where[1]} has lost its labels: restore them, or delete it"
            self._refuse(where, Problem("LabelsLost", message))
            return False
        self._accept(where)
        return True

    async def _delete(self, action: Delete, namespace: str) -> None:
        try:
            deleted = await self._kube.delete(
                action.kind, namespace, action.name, uid=action.uid, grace_s=action.grace_s
            )
        except ApiError as error:
            if not (error.not_found or (error.conflict and await self._replaced(action, namespace))):
                raise
            deleted = None  # gone, or another object by now: either way ours is no more
        known = self._cache.get(action.kind, namespace, action.name)
        if known is None or at(known, "metadata", "uid") != action.uid:
            return
        if deleted is not None and at(deleted, "metadata", "deletionTimestamp"):
            self._cache.feed(action.kind, deleted)
        else:
            self._cache.forget(action.kind, known)

    async def _replaced(self, action: Delete, namespace: str) -> bool:
        """Whether another object has the name by now; a conflict alone does not say so (F10)."""
        if not action.uid:  # any object of that name is meant
            return False
        try:
            existing = await self._kube.get(action.kind, namespace, action.name)
        except ApiError as error:
            if not error.not_found:
                raise
            return True
        return bool(at(existing, "metadata", "uid") != action.uid)

    async def _delete_workers(self, action: DeleteWorkers, namespace: str) -> None:
        chosen = selector(labels(action.run, action.attempt, role=ROLE_WORKER))
        answer = await self._kube.delete_collection("Pod", namespace, selector=chosen, grace_s=action.grace_s)
        for pod in answer.get("items", []):
            self._mark_deleting(pod, namespace)

    async def _end_sidecars(self, action: EndSidecars, namespace: str) -> None:
        try:
            self._cache.feed("Pod", await self._kube.end_pod(namespace, action.pod, action.uid, OVERDUE_S))
        except ApiError as error:
            if error.status == 403:  # rights of an older chart: what ended stays ended
                log.warning("Sidecars of pod %s run on: %s", action.pod, error.message)
            elif error.status not in {404, 409, 422}:  # the pod is gone, or another one has its name (422: by its uid)
                raise

    def _mark_deleting(self, pod: Raw, namespace: str) -> None:
        known = self._cache.get("Pod", namespace, at(pod, "metadata", "name"))
        if known is not None and at(known, "metadata", "deletionTimestamp") is None:
            known["metadata"]["deletionTimestamp"] = at(pod, "metadata", "deletionTimestamp") or "now"

    async def _confirm(self, job: str, namespace: str) -> None:
        if not await self.look("Job", namespace, job):
            self._cache.gone_jobs.add((namespace, job))

    async def look(self, kind: str, namespace: str, name: str) -> bool:
        """Ask the API server for one object and have the cache know what it says.

        Returns:
            Whether the object exists.

        Raises:
            ApiError: The server did not say.
        """
        try:
            self._cache.feed(kind, await self._kube.get(kind, namespace, name))
        except ApiError as error:
            if not error.not_found:
                raise
            if (known := self._cache.get(kind, namespace, name)) is not None:
                self._cache.forget(kind, known)
            return False
        return True

    async def _confirm_pod(self, action: ConfirmPod, namespace: str) -> None:
        chosen = selector(labels(action.run, action.attempt, role=ROLE_DRIVER))
        pods = (await self._kube.list("Pod", namespace, labelSelector=chosen)).get("items", [])
        for pod in pods:
            # Items of a list don't say their kind; nothing reads it of a pod.
            self._cache.feed("Pod", pod)
        if not pods:
            self._cache.podless_jobs.add((namespace, action.job))

    def _explain(self, uid: str, namespace: str) -> None:
        """Read events in the background, ever more seldom: the server looks through all events of the namespace.

        What they say is advice, and may come late or not at all (issue 13).
        """
        if uid not in self._explaining and not self._explained.waits((namespace, uid)):
            self._explained.refused((namespace, uid))
            self._explaining[uid] = asyncio.create_task(self._read_events(uid, namespace))

    async def _read_events(self, uid: str, namespace: str) -> None:
        try:
            events = await self._kube.list("Event", namespace, fieldSelector=f"involvedObject.uid={uid}", limit="50")
        except ApiError as error:
            log.debug("Events of %s were not read: %s", uid, error)
            return
        finally:
            self._explaining.pop(uid, None)
        found = explanation(events.get("items", []))
        if found is not None:
            self._cache.explanations[uid] = found
        else:  # what was said before is over: its image has been pulled
            self._cache.explanations.pop(uid, None)

    def _look_up(self, action: LookUpFlowRun, run_uid: str) -> None:
        """Look up in the background, one at a time for a run: a slow Prefect holds up nobody (F28)."""
        key = idempotency_key(run_uid)
        if key not in self._look_ups:
            self._look_ups[key] = asyncio.create_task(self._find(action, run_uid, key))

    async def _find(self, action: LookUpFlowRun, run_uid: str, key: str) -> None:
        try:
            found = await self._prefect.find(action.api_url, key)
        except _PREFECT_ERRORS as error:
            log.debug("Prefect was not asked for a flow run: %s", error)
            return
        finally:
            self._look_ups.pop(key, None)
        if found is not None:
            self._cache.flow_runs[run_uid][action.attempt] = found

    def _report(self, action: ReportToPrefect, run_uid: str) -> None:
        """Report in the background, one try at a time for a run: Prefect never holds up a teardown (F28).

        The decision asks again until Prefect has heard; here we know only when it is too early for that.
        """
        if run_uid not in self._reports and not self._cache.refusals.waits((_PREFECT, action.id + run_uid)):
            self._reports[run_uid] = asyncio.create_task(self._tell(action, run_uid))

    async def _tell(self, action: ReportToPrefect, run_uid: str) -> None:
        key, where = idempotency_key(run_uid), (_PREFECT, action.id + run_uid)
        tell = self._prefect.report_wait if isinstance(action.type, Waiting) else self._prefect.report_end
        try:
            async with asyncio.timeout(_REPORT_S):
                await tell(action.api_url, key, action.attempt, action.type.value, action.message)
        except _PREFECT_ERRORS as error:
            log.warning("Prefect was not told of the end of an attempt: %s", error or type(error).__name__)
            self._cache.refusals.refused(where)
        else:
            self._cache.refusals.accepted(where)
            self._cache.told[run_uid] = action.id
        finally:
            if self._reports.get(run_uid) is asyncio.current_task():
                del self._reports[run_uid]

    def _drop_report(self, run_uid: str) -> None:
        task = self._reports.pop(run_uid, None)
        if task is not None:
            task.cancel()

    async def _announce(self, api_url: str, run_uid: str) -> None:
        try:
            async with asyncio.timeout(_ANNOUNCE_S):
                await self._prefect.announce_cancel(api_url, idempotency_key(run_uid))
        except _PREFECT_ERRORS as error:  # the end will be told all the same
            log.info("Prefect was not told of a cancellation in time: %s", error or type(error).__name__)
