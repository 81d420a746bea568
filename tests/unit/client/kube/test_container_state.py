"""What a pod says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from flowrun.kube import container_state
from flowrun.kube.container_state import Chosen

Raw = dict[str, Any]


def pod(name: str, role: str = "worker", attempt: int = 1, cluster: str = "default", **state: Raw) -> Raw:
    labels = {"flowrun.dev/role": role, "flowrun.dev/attempt": str(attempt), "flowrun.dev/cluster": cluster}
    statuses = [{"name": "a-sidecar", "state": {"terminated": {}}}, {"name": "flowrun", "state": state}]
    return {
        "metadata": {"name": name, "labels": labels},
        "status": {"phase": "Pending", "containerStatuses": statuses},
    }


def test_only_its_main_container_counts() -> None:
    assert not container_state.started(pod("a", waiting={"reason": "ImagePullBackOff"}))
    assert container_state.started(pod("a", running={"startedAt": "x"}))
    assert not container_state.ended(pod("a", running={"startedAt": "x"}))
    assert container_state.ended(pod("a", terminated={"exitCode": 0}))


def test_its_state_is_one_word() -> None:
    assert container_state.state(pod("a", waiting={"reason": "ImagePullBackOff"})) == "ImagePullBackOff"
    assert container_state.state(pod("a", terminated={"reason": "OOMKilled"})) == "OOMKilled"
    assert container_state.state(pod("a")) == "Pending"
    going = pod("a")
    going["metadata"]["deletionTimestamp"] = "x"
    assert container_state.state(going) == "Terminating"


DRIVER = pod("etl-2-x", "driver", attempt=2, cluster="")
WORKERS = [
    pod("etl-1-default-w-0"),
    pod("etl-2-default-w-0", attempt=2),
    pod("etl-2-gpu-w-1", attempt=2, cluster="gpu"),
]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (Chosen(drivers=True, workers=False), ["etl-2-x"]),
        (Chosen(drivers=False, workers=True), ["etl-1-default-w-0", "etl-2-default-w-0", "etl-2-gpu-w-1"]),
        (Chosen(drivers=False, workers=True, cluster="gpu"), ["etl-2-gpu-w-1"]),
        (Chosen(drivers=True, workers=True, attempt=1), ["etl-1-default-w-0"]),
        (Chosen(drivers=False, workers=True, names=frozenset({"0"})), ["etl-1-default-w-0", "etl-2-default-w-0"]),
        (Chosen(drivers=False, workers=True, names=frozenset({"etl-2-gpu-w-1"})), ["etl-2-gpu-w-1"]),
    ],
)
def test_pods_are_chosen(chosen: Chosen, expected: list[str]) -> None:
    reporter = pod("etl-report-x", "report", attempt=2)
    assert [each["metadata"]["name"] for each in [DRIVER, *WORKERS, reporter] if chosen.has(each)] == expected
