"""Fixtures for tests on a real cluster with the chart installed (`make install`)."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_tools import Cluster
from node_tools import Operator

ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    kubeconfig = os.environ.get("KUBECONFIG") or str(ROOT / ".local" / "kubeconfig")
    if not Path(kubeconfig).exists():
        pytest.fail("no cluster: run `make install` first, or set KUBECONFIG")
    return Cluster(kubeconfig, namespace="")


@pytest.fixture
def ns(cluster: Cluster) -> Iterator[Cluster]:
    """A namespace of the test's own, with Pod Security "restricted" enforced: every pod of ours must fit it."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    here = Cluster(cluster.kubeconfig, namespace=name)
    here.kubectl("create", "namespace", name, namespaced=False)
    here.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted", namespaced=False)
    yield here
    here.kubectl("delete", "namespace", name, "--wait=false", namespaced=False, check=False)


@pytest.fixture
def operator(cluster: Cluster) -> Iterator[Operator]:
    """The installed operator, for tests that stop it or kill it; one runs again after the test."""
    operator = Operator(Cluster(cluster.kubeconfig, namespace="flowrun-system"))
    yield operator
    operator.scale(1)
