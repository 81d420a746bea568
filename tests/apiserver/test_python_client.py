"""FlowRun and TaskCluster from Python against a real API server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from apiserver_testing.control_plane import ADMIN
from apiserver_testing.lane import DONE, KILLED, Lane

from flowrun import FlowRun, Problem, RunFailed, TaskCluster

pytestmark = pytest.mark.timeout(240)

SPEC: dict[str, Any] = {
    "flow": {"entrypoint": "etl.py:etl"},
    "clusters": [{"name": "default", "engine": "Dask"}],
}


@pytest.fixture
def kubeconfig(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("NO_PROXY", "*")
    return str(lane.plane.kubeconfig(f"python-{lane.namespace}", lane.plane.url, ADMIN))


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
async def test_a_run_is_applied_and_waited_for(lane: Lane, kubeconfig: str) -> None:
    run = FlowRun("etl", namespace=lane.namespace, **SPEC)
    await asyncio.to_thread(run.apply, kubeconfig=kubeconfig)
    assert run.result is None
    with pytest.raises(TimeoutError, match="etl has not ended after 0 s"):
        await asyncio.to_thread(run.wait, 0)
    await lane.wait(lane.running, "the driver runs")
    assert run.status["state"] == "Running"
    again = FlowRun("etl", namespace=lane.namespace, **SPEC)
    with pytest.raises(Problem, match='"etl" already exists'):
        again.apply(kubeconfig=kubeconfig)
    lane.ends = {"1": DONE}
    result = await asyncio.to_thread(run.wait, 60)
    assert (result.succeeded, result.reason) == (True, "FlowCompleted")
    found = FlowRun.get("@latest", namespace=lane.namespace, kubeconfig=kubeconfig)
    assert (found.name, found.result) == ("etl", result)
    run.delete()
    with pytest.raises(Problem, match="not found"):
        await asyncio.to_thread(run.wait, 60)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
async def test_a_run_that_fails_is_an_error_unless_one_asks_for_the_result(lane: Lane, kubeconfig: str) -> None:
    lane.ends = {"1": KILLED}
    run = FlowRun("etl", namespace=lane.namespace, **SPEC).apply(kubeconfig=kubeconfig)
    with pytest.raises(RunFailed, match="etl: DriverKilled") as failed:
        await asyncio.to_thread(run.wait, 60)
    assert failed.value.result == await asyncio.to_thread(run.wait, 60, check=False)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
async def test_a_run_is_suspended_resumed_and_cancelled(lane: Lane, kubeconfig: str) -> None:
    run = FlowRun("etl", namespace=lane.namespace, **SPEC).apply(kubeconfig=kubeconfig)
    await lane.wait(lane.running, "the driver runs")
    run.suspend()
    await lane.wait(lambda: lane.condition("Suspended").get("reason") == "Suspended", "suspended")
    run.resume()
    await lane.wait(lane.running, "it runs again")
    run.cancel()
    assert (await asyncio.to_thread(run.wait, 60, check=False)).reason == "Cancelled"


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
async def test_a_cluster_is_deleted_with_its_block_and_one_that_was_there_is_not(lane: Lane, kubeconfig: str) -> None:
    with TaskCluster("lab", namespace=lane.namespace, workers=1).apply(kubeconfig=kubeconfig) as cluster:
        await lane.wait(lambda: len(workers(lane)) == 1, "a worker")
        with TaskCluster.attach("lab", namespace=lane.namespace, kubeconfig=kubeconfig) as same:
            same.scale(2)
            await lane.wait(lambda: len(workers(lane)) == 2, "two workers")
        assert "Dask" in repr(cluster)
        with pytest.raises(Problem, match="serves no dashboard"):
            _ = cluster.dashboard_link
        with pytest.raises(TimeoutError, match="lab has not 9 workers after 0 s"):
            cluster.wait(9, timeout_s=0)
    await lane.wait(lambda: not lane.api.of("TaskCluster"), "deleted")


def workers(lane: Lane) -> list[Any]:
    return [pod for pod in lane.api.of("Pod") if pod["metadata"]["labels"].get("flowrun.dev/role") == "worker"]
