"""The scenarios that are played against the real API server, each from `kubectl apply` to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from apiserver_testing.lane import DONE, KILLED, Lane

RETRY = {"retryPolicy": {"maxInfrastructureRetries": 1}}


async def success(lane: Lane) -> None:
    await lane.apply()
    await lane.wait(lane.running, "the driver runs")
    lane.ends["1"] = DONE
    await lane.wait(lane.finished, "the run ends")
    await lane.wait(lane.clean, "the workers are gone")


async def retry(lane: Lane) -> None:
    lane.ends["1"] = KILLED
    await lane.apply(**RETRY)
    await lane.wait(lambda: any(j["metadata"]["name"] == "etl-2" for j in lane.api.of("Job")), "a second attempt")
    lane.ends["2"] = DONE
    await lane.wait(lane.finished, "the run ends")
    await lane.wait(lane.clean, "the workers are gone")


async def cancel(lane: Lane) -> None:
    await lane.apply(**RETRY)
    await lane.wait(lane.running, "the driver runs")
    await lane.change(cancel=True)
    await lane.wait(lane.finished, "the run ends")
    await lane.wait(lambda: lane.left() == ["FlowRun etl"], "all is gone but the record")


async def delete(lane: Lane) -> None:
    await lane.apply()
    await lane.wait(lane.running, "the driver runs")
    await lane.delete()
    await lane.wait(lambda: not lane.left(), "all is gone")


STORIES: dict[str, Callable[[Lane], Awaitable[None]]] = {
    "success": success,
    "a killed driver with a retry": retry,
    "cancel": cancel,
    "delete": delete,
}
