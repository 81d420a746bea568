"""A driver's requests of the Kubernetes API, by the driver's own client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowrun_api import environment
from prefect_flowrun.clusters import kubernetes
from prefect_flowrun.clusters.kubernetes import ScaleError, TaskClusters
from prefect_flowrun.laptop.scale_api import ScaleApi


class StandIn:
    """A fleet that starts nothing."""

    def __init__(self) -> None:
        self.wanted, self.alive = 0, 0

    def scale(self, wanted: int) -> None:
        self.wanted = wanted


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[StandIn]:
    made = StandIn()
    api = ScaleApi(tmp_path / "scale", {"default": made})  # type: ignore[dict-item]
    yield made
    api.close()


@pytest.fixture
def clusters(fleet: StandIn, tmp_path: Path) -> TaskClusters:
    found = TaskClusters.of_this_pod("local", {environment.SCALE_SOCKET: str(tmp_path / "scale")})
    assert found is not None
    return found


def test_a_cluster_is_scaled(clusters: TaskClusters, fleet: StandIn) -> None:
    clusters.scale("default", 3)
    assert fleet.wanted == 3


def test_it_is_ready_when_its_workers_run(clusters: TaskClusters, fleet: StandIn) -> None:
    clusters.scale("default", 2)
    condition = clusters.condition("default")
    assert condition is not None
    assert (condition.ready, condition.message) == (False, "0 of 2 worker processes run")
    fleet.alive = 2
    condition = clusters.condition("default")
    assert condition is not None
    assert condition.ready


def test_a_cluster_that_is_not_there_is_said_so(clusters: TaskClusters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "PATIENCE_S", 0.0)
    with pytest.raises(ScaleError, match="404 no such cluster"):
        clusters.scale("other", 1)
