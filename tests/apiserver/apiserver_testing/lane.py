"""A namespace with an operator of its own behind a proxy, seen by the oracle and a played kubelet through a mirror."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
from operator_testing.builders import message, raw_run
from operator_testing.fake_api import FakeApi
from operator_testing.faults import Request
from operator_testing.invariants import ENVIRONMENT, KEY, Invariants, Reference
from operator_testing.scenarios import ENV, FLOW

from apiserver_testing.api import PLURALS, Api, Raw, path_of
from apiserver_testing.control_plane import OPERATOR, ControlPlane, die_with_parent, free_port
from apiserver_testing.proxy import Proxy, ProxyFault
from flowrun_operator.observe.fields import at, label

_WAIT_S = 45.0
_SHIFT = """
import datetime, sys
from flowrun_operator import __main__ as main
from flowrun_operator.loop import reconciler
class Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.now(tz) + datetime.timedelta(seconds={skew_s})
reconciler.datetime = Shifted
main.main()
"""


class Lane:
    """What a test works with. It has the parts of a simulated `World` that the oracle reads."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.namespace = namespace
        self.plane, self.user = plane, Api(plane.url)
        self.proxy = Proxy(plane.url, OPERATOR)
        self.api = FakeApi()  # a mirror: filled by watches, read by the oracle
        self.proxy.on_write = lambda call: self.api.requests.append(Request(call.method, call.path, ""))
        self.errors: list[Exception] = []
        self.ends: dict[str, tuple[str, int]] = {}
        self.starts = True
        self.skew_s = 0
        self.changes = 0
        self._operator: subprocess.Popen[bytes] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._watches: list[asyncio.Task[None]] = []
        self._log = plane.folder / f"operator-{namespace}.log"
        self._busy: set[str] = set()

    # What the oracle reads.

    @property
    def seconds(self) -> float:
        return time.monotonic()

    @property
    def run(self) -> Raw:
        return self.api.objects["FlowRun", self.namespace, "etl"]

    @property
    def status(self) -> Raw:
        return self.run.get("status") or {}

    async def pass_time(self, seconds: float, step: float = 1) -> None:
        """What is at rest stays so: no need to wait for as long as a simulated world."""
        await asyncio.sleep(0.7)

    # Start and stop.

    async def start(self) -> None:
        await self.user.must("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        await self.proxy.start()
        self._tasks.append(asyncio.create_task(self._kubelet()))
        await self.watch()

    async def watch(self) -> None:
        """Fill the mirror; again after a change of a CRD: a watch that opens at that moment may stay silent."""
        await _cancel(self._watches)
        self._watches = [asyncio.create_task(self._watch(kind)) for kind in PLURALS]

    async def stop(self) -> None:
        self.kill_operator()
        await _cancel([*self._watches, *self._tasks])
        await self.proxy.stop()
        await self.user.close()

    def start_operator(self) -> None:
        config = self.plane.kubeconfig(self.namespace, self.proxy.url, OPERATOR)
        environment = {
            **os.environ,
            "KUBECONFIG": str(config),
            "FLOWRUN_OPERATOR_NAMESPACES": self.namespace,
            "FLOWRUN_OPERATOR_DEFAULT_IMAGE": "runtime:1",
            "FLOWRUN_OPERATOR_PREFECT_API_URL": "http://127.0.0.1:9/api",
            "FLOWRUN_OPERATOR_PREFECT_API_KEY": KEY,
            "FLOWRUN_OPERATOR_LEADER_ELECTION": "false",
            "FLOWRUN_OPERATOR_PORT": str(free_port()),
            "NO_PROXY": "*",
        }
        command = ["-c", _SHIFT.format(skew_s=self.skew_s)] if self.skew_s else ["-m", "flowrun_operator"]
        with self._log.open("ab") as log:
            self._operator = subprocess.Popen(
                [sys.executable, *command],
                env=environment,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509  it makes one system call
            )

    def kill_operator(self) -> None:
        if self._operator is not None:
            self._operator.kill()
            self._operator.wait()
            self._operator = None

    def ensure_operator(self) -> None:
        if self._operator is None:
            self.start_operator()

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    # The user.

    async def apply(self, name: str = "etl", **spec: Any) -> None:
        run = raw_run(name, spec={**FLOW, **ENV, **spec})
        run["metadata"] = {"name": name}
        await self.user.must("POST", path_of("FlowRun", self.namespace), run)

    async def change(self, **spec: Any) -> None:
        await self.user.must("PATCH", path_of("FlowRun", self.namespace, "etl"), {"spec": spec})

    async def delete(self, kind: str = "FlowRun", name: str = "etl") -> None:
        await self.user.call("DELETE", path_of(kind, self.namespace, name))

    async def wait(self, condition: Callable[[], Any], what: str, limit_s: float = _WAIT_S) -> None:
        end = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{what}: not within {limit_s} s: {self._summary()}\n{self.log()[-1500:]}")
            await asyncio.sleep(0.03)

    def condition(self, type_: str = "Succeeded") -> Raw:
        runs = self.api.of("FlowRun")
        status = (runs[0].get("status") or {}) if runs else {}
        return next((c for c in status.get("conditions", []) if c["type"] == type_), {})

    def finished(self) -> bool:
        return self.condition().get("status") in {"True", "False"}

    def running(self) -> bool:
        return self.condition("DriverRunning").get("status") == "True"

    def left(self) -> list[str]:
        return sorted(f"{kind} {name}" for kind, _, name in self.api.objects)

    def clean(self) -> bool:
        """Nothing but the record, the Job and its driver."""
        kinds = {kind for kind, _, _ in self.api.objects}
        return kinds <= {"FlowRun", "Job", "Pod"} and all(
            label(pod, "flowrun.dev/role") == "driver" for pod in self.api.of("Pod")
        )

    def _summary(self) -> str:
        return f"{self.condition()} {self.left()}"

    # The mirror and the kubelet.

    async def _watch(self, kind: str) -> None:
        path = path_of(kind, self.namespace)
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                listed = await self.user.must("GET", path)
                self._see_all(kind, listed["items"])
                version = listed["metadata"]["resourceVersion"]
                query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "3000"}
                async with self.user.session.get(path, params=query) as response:
                    async for line in response.content:
                        event = json.loads(line)
                        self._see(event["type"], {**event["object"], "kind": kind})

    def _see_all(self, kind: str, items: list[Raw]) -> None:
        """See what has changed while no watch was open."""
        listed = {item["metadata"]["name"]: item for item in items}
        for known in self.api.of(kind):
            if known["metadata"]["name"] not in listed:
                self._see("DELETED", known)
        for name, item in listed.items():
            old = self.api.objects.get((kind, self.namespace, name))
            if old is None or old["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                self._see("MODIFIED" if old else "ADDED", {**item, "kind": kind})

    def _see(self, event: str, raw: Raw) -> None:
        metadata = raw["metadata"]
        key = (raw["kind"], metadata["namespace"], metadata["name"])
        if event == "DELETED":
            self.api.objects.pop(key, None)
        else:
            self.api.objects[key] = raw
        for observer in self.api.observers:
            observer(event, raw["kind"], raw)

    async def _kubelet(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            pods = [pod for pod in self.api.of("Pod") if pod["metadata"]["uid"] not in self._busy]
            await asyncio.gather(*(self._step(pod) for pod in pods))

    async def _step(self, pod: Raw) -> None:
        status = self._next_status(pod)
        if status is None:
            return
        uid = pod["metadata"]["uid"]
        self._busy.add(uid)
        try:
            path = path_of("Pod", self.namespace, pod["metadata"]["name"]) + "/status"
            version = pod["metadata"]["resourceVersion"]
            # 404 or 409: the pod has changed meanwhile, and is looked at again.
            await self.user.call("PATCH", path, {"metadata": {"resourceVersion": version}, "status": status})
        finally:
            self._busy.discard(uid)

    def _next_status(self, pod: Raw) -> Raw | None:
        phase, driver = at(pod, "status", "phase"), label(pod, "flowrun.dev/role") == "driver"
        end = self.ends.get(label(pod, "flowrun.dev/attempt")) if driver else None
        if at(pod, "metadata", "deletionTimestamp") and phase == "Running":
            return _ended("", 143)  # the Job's finalizer waits for it
        if phase == "Pending" and self.starts:
            return {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [_container({"running": {}}, ready=True)],
            }
        if phase == "Running" and end is not None:
            return _ended(*end)
        return None


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _ended(text: str, code: int) -> Raw:
    end = {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "message": text}
    return {"phase": "Failed" if code else "Succeeded", "containerStatuses": [_container({"terminated": end})]}


def _container(state: Raw, *, ready: bool = False) -> Raw:
    return {"name": "flowrun", "state": state, "ready": ready, "restartCount": 0, "image": "i", "imageID": "i"}


class Point:
    """One run of a story in a lane, with one fault, under the eyes of the oracle."""

    def __init__(self, lane: Lane, fault: ProxyFault) -> None:
        self.lane = lane
        lane.ends, lane.starts = {}, True
        lane.api.observers.clear()
        lane.api.requests.clear()
        lane.proxy.set(fault)
        self.oracle = Invariants(lane)  # type: ignore[arg-type]

    async def check(self, reference: Reference | None) -> Reference:
        """Ask the oracle about the end; then delete the record and see that nothing stays. Return what it was like."""
        await asyncio.sleep(1.2)  # longer than a status waits for company
        await self.oracle.check_rest(reference)
        found = Reference(self.lane)  # type: ignore[arg-type]
        if reference is not None:
            self.oracle.check_writes(reference)
        self.lane.proxy.set(ProxyFault())
        await self.lane.delete()
        await self.lane.wait(lambda: not self.lane.left(), "nothing is left")
        for secret in (KEY, ENVIRONMENT):
            assert secret not in self.lane.log(), "I5: the operator's log tells a private value"
        assert self.oracle.broken == [], self.oracle.broken
        return found


KILLED, DONE = ("", 137), (message(), 0)


def read_rules(chart: Path) -> list[Raw]:
    """Return the operator's rights, which the chart holds as plain YAML within a template."""
    import yaml

    text = (chart / "templates" / "operator-rbac.yaml").read_text()
    block = text.split('define "flowrun.operatorRules" -}}')[1].split("{{- end -}}")[0]
    rules: list[Raw] = yaml.safe_load(block)
    return rules
