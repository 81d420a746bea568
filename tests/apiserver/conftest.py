"""The control plane of this tier, and lanes on it."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import yaml
from apiserver_testing.api import Api, Raw
from apiserver_testing.control_plane import ControlPlane, kubebox
from apiserver_testing.lane import Lane, read_rules

CHART = Path(__file__).parents[2] / "charts" / "flowrun-operator"
RIGHTS = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    program = kubebox()
    if program is None:
        pytest.skip("the API server's program is not built: dev/kubebox builds it (needs Go)")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    control_plane = ControlPlane(program)
    try:
        control_plane.start()
        asyncio.run(_prepare(control_plane.url))
        control_plane.start_controllers()
        yield control_plane
    finally:
        control_plane.stop()


async def _prepare(url: str) -> None:
    """Install the CRDs and give the operator the rights of the chart."""
    api = Api(url)
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for file in sorted((CHART / "files" / "crds").glob("*.yaml")):
        await api.must("POST", crds, yaml.safe_load(file.read_text()))
    await api.must("POST", RIGHTS, {"metadata": {"name": "operator"}, "rules": read_rules(CHART)})
    binding: Raw = {
        "metadata": {"name": "operator"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "operator"},
        "subjects": [{"kind": "User", "name": "operator"}],
    }
    await api.must("POST", RIGHTS.replace("clusterroles", "clusterrolebindings"), binding)
    for plural in ("flowruns", "taskclusters"):
        while (await api.call("GET", f"/apis/flowrun.dev/v1alpha1/{plural}")).status != 200:
            await asyncio.sleep(0.1)
    await api.close()


@pytest.fixture
async def new_lane(plane: ControlPlane) -> AsyncIterator[Callable[[], Awaitable[Lane]]]:
    """Return a function that makes another lane, without an operator yet."""
    lanes: list[Lane] = []

    async def make() -> Lane:
        lane = Lane(plane, f"lane-{next(_numbers)}")
        lanes.append(lane)
        await lane.start()
        return lane

    yield make
    for lane in lanes:
        await lane.stop()


@pytest.fixture
async def lane(new_lane: Callable[[], Awaitable[Lane]]) -> Lane:
    """A lane with a running operator."""
    lane = await new_lane()
    lane.start_operator()
    return lane


@pytest.fixture
async def user(plane: ControlPlane) -> AsyncIterator[Api]:
    api = Api(plane.url)
    yield api
    await api.close()
