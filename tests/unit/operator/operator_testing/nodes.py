"""The controllers and kubelets of the simulated cluster, one step at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from flowrun_operator.kube.errors import ApiError
from flowrun_operator.observe.fields import at, label
from operator_testing.builders import message, rfc
from operator_testing.fake_api import FakeApi, Raw, copied

_ENDED = {"Succeeded", "Failed"}


class Nodes:
    """The job controller and the kubelets."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        # How the driver of an attempt ends: message and exit code; None: it runs on.
        self.ends: dict[str, tuple[str, int] | None] = {}
        # How every driver ends that `ends` does not name.
        self.all_end: tuple[str, int] | None = None
        self.starts = True
        # Names of pods on a node that does not answer.
        self.frozen: set[str] = set()
        self._had_pod: set[str] = set()
        self._done_at: dict[str, datetime] = {}

    def step(self) -> None:
        self.collect()
        for job in self.api.of("Job"):
            if "template" in job["spec"]:
                self._job(job)
        for pod in self.api.of("Pod"):
            self._pod(pod)

    def collect(self) -> None:
        """Delete what has an owner none of which exists (any more): one generation at a time, as the real one does."""
        uids = {raw["metadata"]["uid"] for raw in self.api.objects.values()}
        for raw in list(self.api.objects.values()):
            owners = at(raw, "metadata", "ownerReferences")
            if owners and not any(owner["uid"] in uids for owner in owners):
                self.api.terminate(raw)

    def end_driver(self, attempt: int = 1, text: str | None = None, exit_code: int = 0) -> None:
        self.ends[str(attempt)] = (message() if text is None else text, exit_code)

    def lose(self, name: str) -> None:
        """Evict a pod."""
        status = {"phase": "Failed", "reason": "Evicted", "message": "node drained"}
        for pod in self.api.of("Pod"):
            if pod["metadata"]["name"] == name:
                self._change(pod, lambda raw: raw.update(status=status))

    def _job(self, job: Raw) -> None:
        uid = job["metadata"]["uid"]
        pods = [p for p in self.api.of("Pod") if _owned_by(p, job)]
        if at(job, "status", "conditions"):
            self._finished(job, pods)
        elif not pods and uid not in self._had_pod:
            try:
                self.api.add(_pod_of(job))
            except ApiError as error:  # it tries again, and says so in an event
                self._refused(job, error)
            else:
                self._had_pod.add(uid)
        elif self._overdue(job):
            self._fail(job, "FailureTarget", "DeadlineExceeded")
            for pod in pods:
                self.api.terminate(pod)
        elif any(at(p, "status", "phase") == "Succeeded" for p in pods):
            self._fail(job, "Complete", "Completed")
        elif all(at(p, "status", "phase") == "Failed" or at(p, "metadata", "deletionTimestamp") for p in pods):
            self._fail(job, "Failed", "BackoffLimitExceeded")  # a pod deleted by hand counts as failed

    def _refused(self, job: Raw, error: ApiError) -> None:
        uid, now = job["metadata"]["uid"], rfc(self.api.now())
        said = {"type": "Warning", "reason": "FailedCreate", "message": f"Error creating: {error.message}"}
        event = {**said, "lastTimestamp": now, "metadata": {"creationTimestamp": now}, "involvedObject": {"uid": uid}}
        self.api.events = [each for each in self.api.events if each["involvedObject"]["uid"] != uid] + [event]

    def _finished(self, job: Raw, pods: list[Raw]) -> None:
        (first, *_) = job["status"]["conditions"]
        if first["type"] == "FailureTarget":
            if not pods:
                self._fail(job, "Failed", first["reason"])
            return
        done = self._done_at.setdefault(job["metadata"]["uid"], self.api.now())
        ttl_s = job["spec"].get("ttlSecondsAfterFinished")
        if ttl_s is not None and self.api.now() >= done + timedelta(seconds=ttl_s):
            self.api.remove(job)

    def _fail(self, job: Raw, type_: str, reason: str) -> None:
        condition = {"type": type_, "status": "True", "reason": reason, "message": "said by the job controller"}
        self._change(job, lambda raw: raw.update(status={"conditions": [condition]}))

    def _overdue(self, job: Raw) -> bool:
        limit_s = job["spec"].get("activeDeadlineSeconds")
        created = datetime.fromisoformat(job["metadata"]["creationTimestamp"])
        return limit_s is not None and self.api.now() >= created + timedelta(seconds=limit_s)

    def _pod(self, pod: Raw) -> None:
        if pod["metadata"]["name"] in self.frozen:
            return
        if at(pod, "metadata", "deletionTimestamp"):
            self.api.remove(pod)
            return
        phase = at(pod, "status", "phase")
        # A standalone cluster's coordinator ends as a driver does, by the cluster's name.
        attempt = label(pod, "flowrun.dev/attempt") or label(pod, "flowrun.dev/taskcluster")
        end = self.ends.get(attempt, self.all_end if label(pod, "flowrun.dev/attempt") else None)
        driver = label(pod, "flowrun.dev/role") in {"driver", "coordinator"}
        if phase is None:
            self._set(pod, "Pending")
        elif phase == "Pending" and self.starts:
            self._set(pod, "Running", {"running": {}}, ready=True)
        elif phase == "Running" and at(pod, "spec", "activeDeadlineSeconds"):
            self._stop_sidecars(pod)
        elif phase == "Running" and driver and end and not _main_ended(pod):
            if label(pod, "flowrun.dev/taskcluster"):
                del self.ends[attempt]  # its successor has the same name
            self._end(pod, *end)

    def _end(self, pod: Raw, text: str, code: int) -> None:
        end = {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "message": text}
        end["finishedAt"] = rfc(self.api.now())
        if _sidecars(pod):
            self._set(pod, "Running", {"terminated": end})
        else:
            self._set(pod, "Succeeded" if code == 0 else "Failed", {"terminated": end})

    def _stop_sidecars(self, pod: Raw) -> None:
        ended = {"terminated": {"exitCode": 137, "reason": "Error"}}
        changed = {"phase": "Failed", "reason": "DeadlineExceeded"}

        def stop(raw: Raw) -> None:
            raw["status"].update(changed)
            for status in raw["status"]["containerStatuses"]:
                if "terminated" not in status["state"]:
                    status["state"] = ended

        self._change(pod, stop)

    def _set(self, pod: Raw, phase: str, state: Raw | None = None, *, ready: bool = False) -> None:
        status: Raw = {"phase": phase, "conditions": [{"type": "Ready", "status": str(ready)}]}
        if state:
            others = [{"name": name, "state": {"running": {}}} for name in _sidecars(pod)]
            status["containerStatuses"] = [{"name": "flowrun", "state": state}, *others]
        self._change(pod, lambda raw: raw.update(status=status))

    def _change(self, raw: Raw, change: Callable[[Raw], None]) -> None:
        metadata = raw["metadata"]
        self.api.change(raw["kind"], metadata["namespace"], metadata["name"], change)


def _sidecars(pod: Raw) -> list[str]:
    return [c["name"] for c in at(pod, "spec", "containers") or [] if c["name"] != "flowrun"]


def _main_ended(pod: Raw) -> bool:
    statuses = at(pod, "status", "containerStatuses") or []
    return any(s["name"] == "flowrun" and "terminated" in s["state"] for s in statuses)


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
            "labels": copied(job["spec"]["template"]["metadata"]["labels"]),
            "ownerReferences": [reference],
        },
        "spec": {"containers": copied(job["spec"]["template"]["spec"]["containers"])},
    }
