"""An in-memory API server with the methods of `KubeClient`, plus the controllers that a run needs.

It knows resource versions, conflicts, uids, preconditions, merge patches, graceful deletion of pods and the garbage
collection of owned objects. Faults are injected where the operator would meet them: at the request.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from datetime import datetime
from typing import Any

from flowrun_operator.kube.errors import ApiError
from flowrun_operator.observe.fields import at
from operator_testing.builders import NOW, message, rfc

Raw = dict[str, Any]
WRITES = ("create", "patch", "scale", "delete", "deletecollection")


class Crash(BaseException):
    """The operator was killed: no request of its goes through any more."""


class FakeApi:
    """Objects by kind, namespace and name.

    Every write of the operator is in `writes` as "verb Kind name". `crash_after` kills the operator after so many
    writes; `lose_response_of` carries the n-th write out and then breaks the connection; `refuse` may raise for one.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Raw] = {}
        self.writes: list[str] = []
        self.listeners: list[Callable[[str, str, Raw], None]] = []
        self.crash_after: int | None = None
        self.lose_response_of: int | None = None
        self.refuse: Callable[[str, str, str], ApiError | None] = lambda verb, kind, name: None
        self.events: list[Raw] = []
        self.now: Callable[[], datetime] = lambda: NOW
        self._versions = itertools.count(100)
        self._uids = itertools.count(1)

    # The operator's side: the methods of KubeClient.

    async def create(self, manifest: Raw) -> Raw:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        return self._write("create", kind, name, lambda: self.add(manifest))

    async def get(self, kind: str, namespace: str, name: str) -> Raw:
        return copy.deepcopy(self._existing(kind, namespace, name))

    async def list(self, kind: str, namespace: str = "", **query: str) -> Raw:
        if kind == "Event":
            uid = query["fieldSelector"].partition("=")[2]
            return {"items": [e for e in self.events if e["involvedObject"]["uid"] == uid]}
        items = [o for (k, ns, _), o in self.objects.items() if k == kind and namespace in ("", ns)]
        return {"items": copy.deepcopy(items)}

    async def replace(self, manifest: Raw) -> Raw:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        return self._write("replace", kind, name, lambda: self._replace(manifest))

    async def patch_status(self, kind: str, namespace: str, name: str, status: Raw, resource_version: str) -> Raw:
        return self._write(
            "patch", kind, name, lambda: self._patch_status(kind, namespace, name, status, resource_version)
        )

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
        self.writes.append(f"{verb} {kind} {name}")
        result = action()
        if self.lose_response_of == len(self.writes):
            raise ApiError(0, "Unreachable", "connection reset")
        return copy.deepcopy(result)

    # The cluster's side.

    def add(self, manifest: Raw) -> Raw:
        raw = copy.deepcopy(manifest)
        metadata = raw["metadata"]
        key = (raw["kind"], metadata.get("namespace", ""), metadata["name"])
        if key in self.objects:
            raise ApiError(409, "AlreadyExists", f"{raw['kind']} {metadata['name']} already exists")
        metadata["uid"] = metadata.get("uid") or f"uid-{next(self._uids)}"
        metadata["creationTimestamp"] = rfc(self.now())
        metadata["generation"] = 1
        self.objects[key] = raw
        return self._changed(raw, "ADDED")

    def change(self, kind: str, namespace: str, name: str, change: Callable[[Raw], None]) -> None:
        """Change an object as its user, the kubelet or a controller does."""
        raw = self._existing(kind, namespace, name)
        before = copy.deepcopy(raw.get("spec"))
        change(raw)
        if raw.get("spec") != before:
            raw["metadata"]["generation"] += 1
        self._changed(raw, "MODIFIED")

    def of(self, kind: str) -> list[Raw]:
        return [o for (k, _, _), o in sorted(self.objects.items()) if k == kind]

    def names(self, kind: str) -> list[str]:
        return [o["metadata"]["name"] for o in self.of(kind)]

    def remove(self, raw: Raw) -> None:
        """Remove an object for good, and with it all that it owns."""
        metadata = raw["metadata"]
        if self.objects.pop((raw["kind"], metadata.get("namespace", ""), metadata["name"]), None) is None:
            return
        self._changed(raw, "DELETED")
        for child in list(self.objects.values()):
            owners = at(child, "metadata", "ownerReferences") or []
            if any(owner["uid"] == metadata["uid"] for owner in owners):
                self._go(child)

    def _go(self, raw: Raw) -> Raw:
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
        raw["spec"] = copy.deepcopy(manifest["spec"])
        return self._changed(raw, "MODIFIED")

    def _delete(self, kind: str, namespace: str, name: str, uid: str) -> Raw:
        raw = self._existing(kind, namespace, name)
        if uid and raw["metadata"]["uid"] != uid:
            raise ApiError(409, "Conflict", "the UID in the precondition does not match")
        return self._go(raw)

    def _scale(self, kind: str, namespace: str, name: str, replicas: int, version: str) -> Raw:
        if self._existing(kind, namespace, name)["metadata"]["resourceVersion"] != version:
            raise ApiError(409, "Conflict", "the object has been modified")
        self.change(kind, namespace, name, lambda raw: raw["spec"]["workers"].update(replicas=replicas))
        return {"kind": "Scale", "spec": {"replicas": replicas}}

    def _delete_all(self, kind: str, namespace: str, selector: str) -> Raw:
        wanted = dict(part.split("=") for part in selector.split(","))
        chosen = [
            o
            for (k, ns, _), o in self.objects.items()
            if (k, ns) == (kind, namespace) and wanted.items() <= (at(o, "metadata", "labels") or {}).items()
        ]
        for raw in chosen:
            self._go(raw)
        return {"items": chosen}

    def _changed(self, raw: Raw, event: str) -> Raw:
        raw["metadata"]["resourceVersion"] = str(next(self._versions))
        for listener in self.listeners:
            listener(event, raw["kind"], copy.deepcopy(raw))
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


class Nodes:
    """The job controller and the kubelets, one step at a time."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        # How the driver of an attempt ends: message and exit code; None: it runs on.
        self.ends: dict[str, tuple[str, int] | None] = {}
        self.starts = True
        # Names of pods on a node that does not answer.
        self.frozen: set[str] = set()

    def step(self) -> None:
        for job in self.api.of("Job"):
            self._job(job)
        for pod in self.api.of("Pod"):
            self._pod(pod)

    def end_driver(self, attempt: int = 1, text: str | None = None, exit_code: int = 0) -> None:
        self.ends[str(attempt)] = (message() if text is None else text, exit_code)

    def _job(self, job: Raw) -> None:
        pods = [p for p in self.api.of("Pod") if _owned_by(p, job)]
        phases = {at(p, "status", "phase") for p in pods}
        done = at(job, "status", "conditions")
        if not pods and not done and "template" in job["spec"]:
            self.api.add(_pod_of(job))
        elif phases & {"Succeeded", "Failed"} and not done:
            type_ = "Complete" if "Succeeded" in phases else "Failed"
            condition = {"type": type_, "status": "True", "reason": "BackoffLimitExceeded", "message": "failed"}
            self._change(job, lambda raw: raw.update(status={"conditions": [condition]}))

    def _pod(self, pod: Raw) -> None:
        if pod["metadata"]["name"] in self.frozen:
            return
        if at(pod, "metadata", "deletionTimestamp"):
            self.api.remove(pod)
            return
        phase = at(pod, "status", "phase")
        labels = pod["metadata"]["labels"]
        # A standalone cluster's coordinator ends as a driver does, by the cluster's name.
        attempt = labels.get("flowrun.dev/attempt") or labels.get("flowrun.dev/taskcluster")
        driver = labels["flowrun.dev/role"] in {"driver", "coordinator"}
        if phase is None:
            self._set(pod, "Pending")
        elif phase == "Pending" and self.starts:
            self._set(pod, "Running", {"running": {}}, ready=True)
        elif phase == "Running" and driver and self.ends.get(attempt):
            text, code = self.ends[attempt] or ("", 0)
            end = {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "message": text}
            end["finishedAt"] = rfc(self.api.now())
            if "flowrun.dev/taskcluster" in labels:
                del self.ends[attempt]  # its successor has the same name
            self._set(pod, "Succeeded" if code == 0 else "Failed", {"terminated": end})

    def _set(self, pod: Raw, phase: str, state: Raw | None = None, *, ready: bool = False) -> None:
        status: Raw = {"phase": phase, "conditions": [{"type": "Ready", "status": str(ready)}]}
        if state:
            status["containerStatuses"] = [{"name": "flowrun", "state": state}]
        self._change(pod, lambda raw: raw.update(status=status))

    def _change(self, raw: Raw, change: Callable[[Raw], None]) -> None:
        metadata = raw["metadata"]
        self.api.change(raw["kind"], metadata["namespace"], metadata["name"], change)


def _owned_by(raw: Raw, owner: Raw) -> bool:
    return any(o["uid"] == owner["metadata"]["uid"] for o in at(raw, "metadata", "ownerReferences") or [])


def _pod_of(job: Raw) -> Raw:
    metadata = job["metadata"]
    reference = {"kind": "Job", "name": metadata["name"], "uid": metadata["uid"], "controller": True}
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name']}-{metadata['uid']}",
            "namespace": metadata["namespace"],
            "labels": copy.deepcopy(job["spec"]["template"]["metadata"]["labels"]),
            "ownerReferences": [reference],
        },
        "spec": {},
    }
