"""Fixtures for tests on a real cluster with the chart installed (`make install`)."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_tools import Cluster

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
def operator_off_later(cluster: Cluster) -> Iterator[object]:
    """Give a function that scales the operator to zero; it comes back after the test."""
    release = Cluster(cluster.kubeconfig, namespace="flowrun-system")
    name = release.operator_deployment()

    def off() -> None:
        release.kubectl("scale", "deployment", name, "--replicas=0")
        release.wait_for(lambda: not release.pods("app.kubernetes.io/component=operator"), 30, "operator gone")

    yield off
    release.kubectl("scale", "deployment", name, "--replicas=1")
    release.kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s")
