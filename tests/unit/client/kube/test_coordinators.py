"""Where a coordinator listens, read from its pod."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from flowrun.kube import coordinators
from flowrun.kube.pods import Pods
from flowrun.problem import Gone, Problem

Raw = dict[str, Any]
DASK = {"name": "default", "engine": "Dask", "port": 8786, "httpPort": 8787, "dashboard": True}
RAY = {"name": "gpu", "engine": "Ray", "port": 6379, "httpPort": 8265}
RUN: Raw = {"metadata": {"name": "etl", "uid": "u"}}


class Played:
    """Pods that are there."""

    def __init__(self, *pods: Raw) -> None:
        self.pods = list(pods)

    def drivers(self, _run_uid: str) -> list[Raw]:
        return self.pods

    def labelled(self, labels: dict[str, str]) -> list[Raw]:
        assert labels == {"flowrun.dev/taskcluster": "shared", "flowrun.dev/role": "coordinator"}
        return self.pods


def pod(name: str, told: str, state: str = "running") -> Raw:
    token = {"secretKeyRef": {"name": "etl-1-ray", "key": "token"}}
    env = [{"name": "RAY_AUTH_TOKEN", "valueFrom": token}, {"name": "FLOWRUN_CLUSTERS", "value": told}]
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "a-sidecar"}, {"name": "flowrun", "env": env}]},
        "status": {"containerStatuses": [{"name": "flowrun", "state": {state: {"x": 1}}}]},
    }


def of_run(cluster: str | None, *pods: Raw) -> coordinators.Coordinator:
    return coordinators.of_run(cast(Pods, Played(*pods)), RUN, cluster)


def test_the_last_driver_that_runs_holds_it() -> None:
    earlier = pod("etl-1-x", json.dumps([DASK]), "terminated")
    found = of_run(None, earlier, pod("etl-2-x", json.dumps([DASK])))
    assert (found.pod, found.http_port, found.dashboard) == ("etl-2-x", 8787, True)


def test_one_of_several_is_named() -> None:
    both = pod("etl-1-x", json.dumps([DASK, RAY]))
    found = of_run("gpu", both)
    assert (found.engine, found.port, found.dashboard) == ("Ray", 6379, False)
    assert found.token == ("etl-1-ray", "token")
    with pytest.raises(Problem, match="several clusters, name one: default, gpu"):
        of_run(None, both)
    with pytest.raises(Problem, match="no cluster cpu; there are: default, gpu"):
        of_run("cpu", both)


def test_without_a_driver_or_a_cluster_it_says_so() -> None:
    with pytest.raises(Gone, match="etl has no driver that runs now: flowrun get etl"):
        of_run(None, pod("etl-1-x", "[]", "terminated"))
    with pytest.raises(Problem, match="etl has no cluster; there are: none"):
        of_run(None, pod("etl-1-x", "[]"))


def test_what_another_version_has_told_its_pod_is_no_traceback() -> None:
    for told in ("not json", '[{"name": "default"}]', '["default"]'):
        with pytest.raises(Problem, match="not what this command understands"):
            of_run(None, pod("etl-1-x", told))


def test_a_standalone_cluster_has_a_pod_for_it_or_is_parked() -> None:
    told = json.dumps([{**DASK, "name": "shared"}])
    found = coordinators.standalone(cast(Pods, Played(pod("shared-coordinator", told))), "shared")
    assert (found.pod, found.cluster, found.port) == ("shared-coordinator", "shared", 8786)
    with pytest.raises(Gone, match="flowrun cluster scale shared 1"):
        coordinators.standalone(cast(Pods, Played()), "shared")
