"""An in-memory API server with the methods of `KubeClient`, plus the controllers that a run needs.

It knows resource versions, conflicts, uids, preconditions, merge patches and graceful deletion of pods; `nodes` has the
controllers. `tests/apiserver/test_conformance.py` asks a real API server the same things. Faults are injected where
the operator would meet them: at the request.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime
from typing import Any

from flowrun_operator.kube.errors import ApiError
from flowrun_operator.observe.fields import at
from operator_testing.builders import NOW, rfc
from operator_testing.faults import Crash, Fault, Request

Raw = dict[str, Any]
WRITES = ("create", "patch", "scale", "delete", "deletecollection")


def copied(value: Any) -> Any:
    """Copy plain data; `copy.deepcopy` took a third of the time of all simulated runs."""
    if value.__class__ is dict:
        return {key: copied(item) for key, item in value.items()}
    if value.__class__ is list:
        return [copied(item) for item in value]
    return value


class FakeApi:
    """Objects by kind, namespace and name.

    Every write of the operator that was carried out is in `writes` as "verb Kind name". `crash_after` kills the
    operator after so many writes; `lose_response_of` carries the n-th write out and then breaks the connection;
    `refuse` may raise for one. `fault` is asked about every request, before and after it is carried out.

    `listeners` are the operator's watches, `observers` the test's: they see every change, whatever happens to a watch.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Raw] = {}
        self.writes: list[str] = []
        self.listeners: list[Callable[[str, str, Raw], None]] = []
        self.observers: list[Callable[[str, str, Raw], None]] = []
        self.fault = Fault()
        self.requests: list[Request] = []
        self.dead = False  # the operator was killed and the next one has not started yet
        self.crash_after: int | None = None
        self.lose_response_of: int | None = None
        self.refuse: Callable[[str, str, str], ApiError | None] = lambda verb, kind, name: None
        self.events: list[Raw] = []
        # How many pods the namespace's quota allows; None: it has no quota.
        self.pods_allowed: int | None = None
        self.now: Callable[[], datetime] = lambda: NOW
        self.version = 99
        self._uids = itertools.count(1)

    # The operator's side: the methods of KubeClient.

    async def create(self, manifest: Raw) -> Raw:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        return self._write("create", kind, name, lambda: self.add(manifest))

    async def get(self, kind: str, namespace: str, name: str) -> Raw:
        return self._ask(Request("get", kind, name), lambda: copied(self._existing(kind, namespace, name)))

    async def list(self, kind: str, namespace: str = "", **query: str) -> Raw:
        return self._ask(Request("list", kind, ""), lambda: self._list(kind, namespace, query))

    def _list(self, kind: str, namespace: str, query: dict[str, str]) -> Raw:
        if kind == "Event":
            uid = query["fieldSelector"].partition("=")[2]
            return {"items": [e for e in self.events if e["involvedObject"]["uid"] == uid]}
        if kind == "ResourceQuota":
            allowed = self.pods_allowed
            status = {"hard": {"pods": str(allowed)}, "used": {"pods": str(self.live_pods())}}
            return {"items": [] if allowed is None else [{"spec": {}, "status": status}]}
        wanted = _selected(query.get("labelSelector", ""))
        items = [o for (k, ns, _), o in self.objects.items() if k == kind and namespace in ("", ns) and wanted(o)]
        return {"metadata": {"resourceVersion": str(self.version)}, "items": copied(items)}

    async def replace(self, manifest: Raw) -> Raw:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        return self._write("replace", kind, name, lambda: self._replace(manifest))

    async def patch_status(self, kind: str, namespace: str, name: str, status: Raw, resource_version: str) -> Raw:
        return self._write(
            "patch", kind, name, lambda: self._patch_status(kind, namespace, name, status, resource_version)
        )

    async def end_pod(self, namespace: str, name: str, uid: str, active_deadline_s: int) -> Raw:
        return self._write("patch", "Pod", name, lambda: self._end_pod(namespace, name, uid, active_deadline_s))

    async def scale(self, kind: str, namespace: str, name: str, replicas: int, resource_version: str) -> Raw:
        return self._write("scale", kind, name, lambda: self._scale(kind, namespace, name, replicas, resource_version))

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str = "", grace_s: int | None = None) -> Raw:
        return self._write("delete", kind, name, lambda: self._delete(kind, namespace, name, uid))

    async def delete_collection(self, kind: str, namespace: str, *, selector: str, grace_s: int) -> Raw:
        return self._write("deletecollection", kind, "*", lambda: self._delete_all(kind, namespace, selector))

    def _write(self, verb: str, kind: str, name: str, action: Callable[[], Raw]) -> Raw:
        if self.crash_after is not None and len(self.writes) >= self.crash_after:
            raise Crash
        refusal = self.refuse(verb, kind, name)
        if refusal is not None:
            raise refusal

        def carry_out() -> Raw:
            self.writes.append(f"{verb} {kind} {name}")
            return action()

        result = self._ask(Request(verb, kind, name), carry_out)
        if self.lose_response_of == len(self.writes):
            raise ApiError(0, "Unreachable", "connection reset")
        return copied(result)

    def _ask(self, request: Request, carry_out: Callable[[], Raw]) -> Raw:
        """Carry a request out, unless the fault keeps it or its answer from arriving."""
        if self.dead:
            raise Crash
        self.requests.append(request)
        try:
            self.fault.request(request)
            try:
                return carry_out()
            finally:  # what the server refuses is an answer too, that may be lost
                self.fault.response(request)
        except Crash:
            self.dead = True
            raise

    # The cluster's side.

    def add(self, manifest: Raw) -> Raw:
        if manifest["kind"] == "Pod" and self.pods_allowed is not None and self.live_pods() >= self.pods_allowed:
            used = f"exceeded quota: small, used: pods={self.live_pods()}, limited: pods={self.pods_allowed}"
            raise ApiError(403, "Forbidden", f'pods "{manifest["metadata"]["name"]}" is forbidden: {used}')
        raw = copied(manifest)
        metadata = raw["metadata"]
        key = (raw["kind"], metadata.get("namespace", ""), metadata["name"])
        if key in self.objects:
            raise ApiError(409, "AlreadyExists", f"{raw['kind']} {metadata['name']} already exists")
        metadata["uid"] = metadata.get("uid") or f"uid-{next(self._uids)}"
        metadata["creationTimestamp"] = rfc(self.now())
        metadata["generation"] = 1
        self.objects[key] = raw
        return self._changed(raw, "ADDED")

    def live_pods(self) -> int:
        return sum(at(pod, "status", "phase") not in {"Succeeded", "Failed"} for pod in self.of("Pod"))

    def change(self, kind: str, namespace: str, name: str, change: Callable[[Raw], None]) -> None:
        """Change an object as its user, the kubelet or a controller does."""
        raw = self._existing(kind, namespace, name)
        before = copied(raw.get("spec"))
        change(raw)
        if raw.get("spec") != before:
            raw["metadata"]["generation"] += 1
        self._changed(raw, "MODIFIED")

    def of(self, kind: str) -> list[Raw]:
        return [o for (k, _, _), o in sorted(self.objects.items()) if k == kind]

    def names(self, kind: str) -> list[str]:
        return [o["metadata"]["name"] for o in self.of(kind)]

    def remove(self, raw: Raw) -> None:
        """Remove an object for good; what it owns is left to the garbage collector (`Nodes.collect`)."""
        metadata = raw["metadata"]
        if self.objects.pop((raw["kind"], metadata.get("namespace", ""), metadata["name"]), None) is not None:
            self._changed(raw, "DELETED")

    def terminate(self, raw: Raw) -> Raw:
        """Delete as the API server does: a live pod only gets a deletion time, until the kubelet is done with it."""
        if raw["kind"] == "Pod" and at(raw, "status", "phase") in (None, "Pending", "Running"):
            if not at(raw, "metadata", "deletionTimestamp"):
                raw["metadata"]["deletionTimestamp"] = rfc(self.now())
                self._changed(raw, "MODIFIED")
            return raw
        self.remove(raw)
        return {"kind": "Status", "status": "Success"}

    def _existing(self, kind: str, namespace: str, name: str) -> Raw:
        raw = self.objects.get((kind, namespace, name))
        if raw is None:
            raise ApiError(404, "NotFound", f"{kind} {name} not found")
        return raw

    def _patch_status(self, kind: str, namespace: str, name: str, status: Raw, version: str) -> Raw:
        raw = self._existing(kind, namespace, name)
        if raw["metadata"]["resourceVersion"] != version:
            raise ApiError(409, "Conflict", "the object has been modified")
        patched = _merge_patch(raw.get("status") or {}, status)
        if patched == raw.get("status"):
            return raw
        raw["status"] = patched
        return self._changed(raw, "MODIFIED")

    def _replace(self, manifest: Raw) -> Raw:
        metadata = manifest["metadata"]
        raw = self._existing(manifest["kind"], metadata["namespace"], metadata["name"])
        if raw["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
            raise ApiError(409, "Conflict", "the object has been modified")
        raw["spec"] = copied(manifest["spec"])
        return self._changed(raw, "MODIFIED")

    def _delete(self, kind: str, namespace: str, name: str, uid: str) -> Raw:
        raw = self._existing(kind, namespace, name)
        if uid and raw["metadata"]["uid"] != uid:
            raise ApiError(409, "Conflict", "the UID in the precondition does not match")
        return self.terminate(raw)

    def _end_pod(self, namespace: str, name: str, uid: str, deadline_s: int) -> Raw:
        raw = self._existing("Pod", namespace, name)
        if raw["metadata"]["uid"] != uid:
            raise ApiError(422, "Invalid", "metadata.uid: field is immutable")
        self.change("Pod", namespace, name, lambda pod: pod["spec"].update(activeDeadlineSeconds=deadline_s))
        return raw

    def _scale(self, kind: str, namespace: str, name: str, replicas: int, version: str) -> Raw:
        if self._existing(kind, namespace, name)["metadata"]["resourceVersion"] != version:
            raise ApiError(409, "Conflict", "the object has been modified")
        self.change(kind, namespace, name, lambda raw: raw["spec"]["workers"].update(replicas=replicas))
        return {"kind": "Scale", "spec": {"replicas": replicas}}

    def _delete_all(self, kind: str, namespace: str, selector: str) -> Raw:
        wanted = _selected(selector)
        chosen = [o for (k, ns, _), o in self.objects.items() if (k, ns) == (kind, namespace) and wanted(o)]
        for raw in chosen:
            self.terminate(raw)
        return {"items": chosen}

    def _changed(self, raw: Raw, event: str) -> Raw:
        self.version += 1
        raw["metadata"]["resourceVersion"] = str(self.version)
        for listener in self.listeners:
            listener(event, raw["kind"], copied(raw))
        for observer in self.observers:
            observer(event, raw["kind"], raw)
        return raw


def _merge_patch(old: Raw, patch: Raw) -> Raw:
    """RFC 7396."""
    result = dict(old)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _merge_patch(result[key], value)
        else:
            result[key] = value
    return result


def _selected(selector: str) -> Callable[[Raw], bool]:
    """Return whether an object has all labels of a selector of the form a=b,c=d."""
    wanted = dict(part.split("=") for part in selector.split(",") if part)
    return lambda raw: wanted.items() <= (at(raw, "metadata", "labels") or {}).items()
