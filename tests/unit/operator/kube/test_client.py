import json
from collections.abc import Mapping
from types import MappingProxyType

import aiohttp
import pytest

from flowrun_operator.kube.client import KubeClient
from flowrun_operator.kube.errors import ApiError

LEASE = {"kind": "Lease", "metadata": {"namespace": "ns", "name": "n", "resourceVersion": "7"}, "spec": {}}


class Transport:
    """Stands for the generated client: remembers what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, float]] = []

    async def param_serialize(self, method, path, **kwargs):
        return (method, path)

    async def call_api(self, method, path, _request_timeout):
        self.sent.append((method, path, _request_timeout))
        return self

    status = 200
    headers: Mapping[str, str] = MappingProxyType({})

    async def read(self) -> bytes:
        return json.dumps({"items": []}).encode()


def client(fence=None) -> tuple[KubeClient, Transport]:
    kube, transport = KubeClient(timeout_s=15, fence=fence), Transport()
    kube._client = transport
    return kube, transport


WRITES = {
    "create": lambda kube: kube.create({"kind": "Job", "metadata": {"namespace": "ns", "name": "n"}}),
    "replace": lambda kube: kube.replace(LEASE),
    "status": lambda kube: kube.patch_status("FlowRun", "ns", "n", {}, "7"),
    "scale": lambda kube: kube.scale("TaskCluster", "ns", "n", 1, "7"),
    "end of a pod": lambda kube: kube.end_pod("ns", "n", "uid", 1),
    "delete": lambda kube: kube.delete("Job", "ns", "n"),
    "delete collection": lambda kube: kube.delete_collection("Pod", "ns", selector="a=b", grace_s=1),
}


def test_every_method_that_changes_something_is_in_the_list():
    reads = {"connect", "close", "get", "list"}
    public = {name for name in vars(KubeClient) if not name.startswith("_")} - reads
    assert len(public) == len(WRITES)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_F05_a_write_behind_a_closed_fence_is_not_sent(write):
    def closed() -> float:
        raise ApiError(0, "NotLeading", "not renewed")

    kube, transport = client(closed)
    with pytest.raises(ApiError, match="NotLeading"):
        await write(kube)
    assert transport.sent == []


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_F05_a_write_must_end_before_the_lease_does(write):
    kube, transport = client(lambda: 6.5)
    await write(kube)
    assert [timeout for _, _, timeout in transport.sent] == [6.5]


async def test_F05_a_standby_may_read():
    def closed() -> float:
        raise ApiError(0, "NotLeading", "not renewed")

    kube, transport = client(closed)
    await kube.get("Job", "ns", "n")
    await kube.list("Pod")
    assert [method for method, _, _ in transport.sent] == ["GET", "GET"]


async def test_a_fence_that_is_wide_open_changes_no_time_limit():
    kube, transport = client(lambda: float("inf"))
    await kube.delete("Job", "ns", "n")
    assert transport.sent[0][2] == 15


@pytest.mark.parametrize("status", [429, 503])
async def test_F11_the_servers_wish_to_be_left_alone_is_told(status):
    kube, transport = client()
    transport.status, transport.headers = status, {"Retry-After": "9"}
    with pytest.raises(ApiError) as caught:
        await kube.get("Job", "ns", "n")
    assert caught.value.retry_after_s == 9


async def test_a_lease_is_replaced_under_its_name():
    kube, transport = client()
    await kube.replace(LEASE)
    assert transport.sent[0][:2] == ("PUT", "/apis/coordination.k8s.io/v1/namespaces/ns/leases/n")


@pytest.mark.parametrize(
    "error",
    [
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientPayloadError("half an answer"),
        ConnectionResetError("gone"),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_F11_whatever_breaks_a_connection_is_an_error_of_the_api_server(error, monkeypatch):
    kube, transport = client()

    async def broken(*args, **kwargs):
        raise error

    monkeypatch.setattr(transport, "call_api", broken)
    with pytest.raises(ApiError, match="GET /") as raised:
        await kube.get("Job", "ns", "n")
    assert raised.value.reason == "Unreachable"
