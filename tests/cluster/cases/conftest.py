"""Fixtures of the cases; a test names its own: `@pytest.mark.case("dask/client_in_flow")`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from case_tools import Batch, Case
from cluster_tools import Cluster


@pytest.fixture(scope="session")
def batch(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Batch]:
    """All cases of the tests that are going to run."""
    marks = [item.get_closest_marker("case") for item in request.session.items]
    operator = Cluster(cluster.kubeconfig, "flowrun-system")
    (found,) = operator.list("deployments", "app.kubernetes.io/component=operator")
    env = {e["name"]: e.get("value", "") for e in found["spec"]["template"]["spec"]["containers"][0]["env"]}
    names = [mark.args[0] for mark in marks if mark is not None]
    batch = Batch(cluster, names, env["FLOWRUN_OPERATOR_DEFAULT_IMAGE"])
    yield batch
    for case in list(batch.started.values()):
        batch.remove(case)


@pytest.fixture
def case(batch: Batch, request: pytest.FixtureRequest) -> Iterator[Case]:
    """The test's case, started."""
    found = batch.case(request.node.get_closest_marker("case").args[0])
    yield found
    batch.remove(found)
