"""The simulated API answers as a real API server does: one script, played on both.

What the operator's tests rely on is asked here: statuses and reasons of refusals, preconditions, merge patches,
garbage collection, the scale subresource, the order of versions and of watch events.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator

import pytest
from apiserver_testing.api import path_of
from apiserver_testing.control_plane import ADMIN
from kubernetes.aio.config import kube_config
from operator_testing.builders import NAMESPACE
from operator_testing.fake_api import FakeApi
from operator_testing.nodes import Nodes

from flowrun_operator.kube.client import KubeClient
from flowrun_operator.kube.errors import ApiError
from flowrun_operator.observe.fields import at

_numbers = itertools.count(1)
_KINDS = ("FlowRun", "TaskCluster", "Service", "Pod")


class Server:
    """One of the two: the operator's own client, and what a user and the controllers do beside it."""

    def __init__(self, client, namespace: str) -> None:
        self.client, self.namespace = client, namespace
        self.events: list[tuple[str, str, str, int]] = []

    async def settle(self, left: int = 0) -> None:
        """Let the garbage collector do its work, until so many Services are left."""

    async def outcome(self, request) -> object:
        """Return the answer, or status and reason of the refusal."""
        try:
            return await request
        except ApiError as error:
            return error.status, error.reason

    def meta(self, name: str, owner: dict | None = None, **labels: str) -> dict:
        metadata = {"name": name, "namespace": self.namespace, "labels": labels}
        if owner is not None:
            reference = {"kind": owner["kind"], "name": at(owner, "metadata", "name"), "controller": True}
            reference |= {"apiVersion": owner["apiVersion"], "uid": at(owner, "metadata", "uid")}
            metadata["ownerReferences"] = [reference]
        return metadata

    def cluster(self, name: str) -> dict:
        spec = {"engine": "Dask", "workers": {"replicas": 2, "image": "i"}}
        kind = {"apiVersion": "flowrun.dev/v1alpha1", "kind": "TaskCluster"}
        return {**kind, "metadata": self.meta(name), "spec": spec}

    def pod(self, name: str, owner: dict | None = None, **labels: str) -> dict:
        spec = {"containers": [{"name": "c", "image": "i"}]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": self.meta(name, owner, **labels), "spec": spec}

    def service(self, name: str, owner: dict | None = None) -> dict:
        spec = {"ports": [{"port": 1}]}
        return {"apiVersion": "v1", "kind": "Service", "metadata": self.meta(name, owner), "spec": spec}

    def run(self, name: str) -> dict:
        kind = {"apiVersion": "flowrun.dev/v1alpha1", "kind": "FlowRun"}
        return {**kind, "metadata": self.meta(name), "spec": {"flow": {"entrypoint": "a.py:b"}}}


class Simulated(Server):
    def __init__(self) -> None:
        self.api = FakeApi()
        super().__init__(self.api, NAMESPACE)
        self.api.observers.append(self._see)

    async def settle(self, left: int = 0) -> None:
        for _ in range(3):
            Nodes(self.api).collect()

    def _see(self, event: str, kind: str, raw: dict) -> None:
        if kind in _KINDS:
            version = int(at(raw, "metadata", "resourceVersion"))
            self.events.append((event, kind, at(raw, "metadata", "name"), version))


class Real(Server):
    def __init__(self, user) -> None:
        client = KubeClient()
        super().__init__(client, f"conformance-{next(_numbers)}")
        self.user, self.watches = user, []

    async def start(self, plane, monkeypatch) -> None:
        monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig("conformance", plane.url, ADMIN)))
        monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", os.environ["KUBECONFIG"])
        await self.client.connect()
        await self.user.must("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        for kind in _KINDS:
            version = (await self.client.list(kind, self.namespace))["metadata"]["resourceVersion"]
            self.watches.append(asyncio.create_task(self._watch(kind, version)))

    async def stop(self) -> None:
        for watch in self.watches:
            watch.cancel()
        await asyncio.gather(*self.watches, return_exceptions=True)
        await self.client.close()

    async def settle(self, left: int = 0) -> None:
        for _ in range(100):
            await asyncio.sleep(0.2)
            services = (await self.client.list("Service", self.namespace))["items"]
            if len(services) == left:
                return

    async def _watch(self, kind: str, version: str) -> None:
        query = {"watch": "true", "resourceVersion": version}
        async with self.user.session.get(path_of(kind, self.namespace), params=query) as response:
            async for line in response.content:
                event = json.loads(line)
                metadata = event["object"]["metadata"]
                self.events.append((event["type"], kind, metadata["name"], int(metadata["resourceVersion"])))


@pytest.fixture
async def servers(plane, user, monkeypatch) -> AsyncIterator[list[Server]]:
    real = Real(user)
    await real.start(plane, monkeypatch)
    yield [Simulated(), real]
    await real.stop()


async def same(servers: list[Server], script) -> object:
    """Play a script on both and return the answer that they agree on."""
    simulated, real = [await script(server) for server in servers]
    assert simulated == real
    return real


async def test_a_second_create_is_told_apart_from_a_conflict(servers):
    async def script(server: Server) -> object:
        await server.client.create(server.service("s"))
        return await server.outcome(server.client.create(server.service("s")))

    assert await same(servers, script) == (409, "AlreadyExists")


async def test_what_is_not_there_is_not_found(servers):
    async def script(server: Server) -> object:
        return [
            await server.outcome(server.client.get("Service", server.namespace, "s")),
            await server.outcome(server.client.delete("Service", server.namespace, "s")),
            await server.outcome(server.client.patch_status("FlowRun", server.namespace, "r", {"state": "x"}, "1")),
        ]

    assert set(await same(servers, script)) == {(404, "NotFound")}


async def test_a_delete_names_the_uid_that_it_means(servers):
    async def script(server: Server) -> object:
        made = await server.client.create(server.service("s"))
        refused = await server.outcome(server.client.delete("Service", server.namespace, "s", uid="another"))
        await server.client.delete("Service", server.namespace, "s", uid=made["metadata"]["uid"])
        return refused, await server.outcome(server.client.get("Service", server.namespace, "s"))

    assert await same(servers, script) == ((409, "Conflict"), (404, "NotFound"))


async def test_a_pod_is_given_a_deadline_only_if_it_is_the_one_meant(servers):
    async def script(server: Server) -> object:
        made = await server.client.create(server.pod("p"))
        refused = await server.outcome(server.client.end_pod(server.namespace, "p", "another", 1))
        told = await server.client.end_pod(server.namespace, "p", made["metadata"]["uid"], 1)
        missing = await server.outcome(server.client.end_pod(server.namespace, "q", "another", 1))
        return refused, told["spec"]["activeDeadlineSeconds"], missing

    assert await same(servers, script) == ((422, "Invalid"), 1, (404, "NotFound"))


async def test_a_status_is_patched_only_as_it_was_read(servers):
    async def script(server: Server) -> object:
        client, space = server.client, server.namespace
        made = await client.create(server.run("r"))
        version = made["metadata"]["resourceVersion"]
        first = await client.patch_status("FlowRun", space, "r", {"state": "Starting", "workers": "0/2"}, version)
        stale = await server.outcome(client.patch_status("FlowRun", space, "r", {"state": "x"}, version))
        version = first["metadata"]["resourceVersion"]
        second = await client.patch_status("FlowRun", space, "r", {"state": "Running", "workers": None}, version)
        same_again = await client.patch_status(
            "FlowRun", space, "r", {"state": "Running"}, second["metadata"]["resourceVersion"]
        )
        unchanged = same_again["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
        return stale, first["status"], second["status"], unchanged, second["metadata"]["generation"]

    stale, _, status, unchanged, generation = await same(servers, script)
    assert (stale, status, unchanged, generation) == ((409, "Conflict"), {"state": "Running"}, True, 1)


async def test_the_scale_subresource_changes_replicas_and_generation(servers):
    async def script(server: Server) -> object:
        made = await server.client.create(server.cluster("c"))
        version = made["metadata"]["resourceVersion"]
        scaled = await server.client.scale("TaskCluster", server.namespace, "c", 3, version)
        stale = await server.outcome(server.client.scale("TaskCluster", server.namespace, "c", 4, version))
        now = await server.client.get("TaskCluster", server.namespace, "c")
        return scaled["spec"]["replicas"], stale, now["spec"]["workers"]["replicas"], now["metadata"]["generation"]

    assert await same(servers, script) == (3, (409, "Conflict"), 3, 2)


async def test_a_collection_is_deleted_by_labels(servers):
    async def script(server: Server) -> object:
        for name, role in (("a", "worker"), ("b", "worker"), ("c", "driver")):
            await server.client.create(server.pod(name, role=role, run="r"))
        chosen = {"selector": "role=worker,run=r", "grace_s": 0}
        deleted = await server.client.delete_collection("Pod", server.namespace, **chosen)
        left = await server.client.list("Pod", server.namespace, labelSelector="run=r")
        living = [p["metadata"]["name"] for p in left["items"] if not p["metadata"].get("deletionTimestamp")]
        return sorted(pod["metadata"]["name"] for pod in deleted["items"]), living

    assert await same(servers, script) == (["a", "b"], ["c"])


async def test_what_an_object_owns_goes_with_it_and_what_is_owned_by_nobody_goes_too(servers):
    async def script(server: Server) -> object:
        client, space = server.client, server.namespace
        owner = await client.create(server.cluster("c"))
        await client.create(server.service("owned", owner))
        await client.create(server.service("free"))
        await client.delete("TaskCluster", space, "c", uid=owner["metadata"]["uid"])
        await client.create(server.service("late", owner))  # by an operator that has not heard of it
        await server.settle(left=1)
        return [item["metadata"]["name"] for item in (await client.list("Service", space))["items"]]

    assert await same(servers, script) == ["free"]


async def test_versions_grow_over_all_objects_of_a_kind_and_lists_have_one(servers):
    async def script(server: Server) -> object:
        first = await server.client.create(server.service("a"))
        second = await server.client.create(server.service("b"))
        listed = await server.client.list("Service", server.namespace)
        versions = [int(at(raw, "metadata", "resourceVersion")) for raw in (first, second, listed)]
        return versions == sorted(versions) and versions[0] < versions[1]

    assert await same(servers, script) is True


async def test_watch_events_come_in_the_order_of_the_writes(servers):
    async def script(server: Server) -> object:
        client, space = server.client, server.namespace
        made = await client.create(server.run("r"))
        await client.patch_status("FlowRun", space, "r", {"state": "Starting"}, made["metadata"]["resourceVersion"])
        await client.create(server.run("q"))
        await client.delete("FlowRun", space, "r")
        await server.settle()
        events = [event for event in server.events if event[1] == "FlowRun"]
        versions = [event[3] for event in events]
        return [event[:3] for event in events], versions == sorted(set(versions))

    events, in_order = await same(servers, script)
    assert [(event, name) for event, _, name in events] == [
        ("ADDED", "r"),
        ("MODIFIED", "r"),
        ("ADDED", "q"),
        ("DELETED", "r"),
    ]
    assert in_order


async def test_quantities_may_be_numbers_as_in_a_pod(servers):
    real = servers[1]
    quantities = {"cpu": 0.5, "memory": 5.36870912e8, "nvidia.com/gpu": 1, "ephemeral-storage": "1Gi"}
    run = real.run("r")
    run["spec"]["driver"] = {"resources": {"limits": quantities}}
    made = await real.client.create(run)
    assert made["spec"]["driver"]["resources"]["limits"] == quantities


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flow": {"entrypoint": "other.py:flow"}}, "flow is immutable"),
        ({"image": "another:1"}, "image is immutable"),
        ({"driver": {"resources": {"limits": {"cpu": 0.5}}}}, "driver is immutable"),
    ],
    ids=["flow", "image", "a number"],
)
async def test_F26_what_is_immutable_is_refused_with_words_that_help(plane, user, servers, change, message):
    """Only the real one knows CEL: the simulation is not asked to refuse, and no test of it relies on that."""
    real = servers[1]
    await real.client.create(real.run("r"))
    answer = await user.call("PATCH", path_of("FlowRun", real.namespace, "r"), {"spec": change})
    assert answer.status == 422
    assert message in answer.body["message"]
    allowed = await user.call("PATCH", path_of("FlowRun", real.namespace, "r"), {"spec": {"suspend": True}})
    assert allowed.body["metadata"]["generation"] == 2
