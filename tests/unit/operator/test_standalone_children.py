"""Manifests of a TaskCluster that belongs to no FlowRun."""

import json
from dataclasses import replace

import pytest
from operator_testing.builders import DEFAULTS, a_cluster

from flowrun_api.contract import ClusterContract
from flowrun_api.kinds.common import Engine, Resources
from flowrun_operator.build.service import coordinator_service
from flowrun_operator.children import completed, coordinator_pod, token_of_its_own
from flowrun_operator.engines import ENGINES


def cluster(spec: dict | None = None, defaults=DEFAULTS):
    given = {"flowRun": None, "workers": {"replicas": 2}, **(spec or {})}
    return completed(a_cluster(given, name="lab"), defaults)


def main_of(pod: dict) -> dict:
    return next(c for c in pod["spec"]["containers"] if c["name"] == "flowrun")


def env_of(pod: dict) -> dict:
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in main_of(pod)["env"]}


def test_the_operators_defaults_are_filled_in_where_the_user_says_nothing():
    defaults = replace(
        DEFAULTS,
        worker_resources=Resources(limits={"memory": "1Gi"}),
        driver_resources=Resources(requests={"cpu": "150m"}),
        coordinator_resources={Engine.DASK: Resources(requests={"cpu": "100m"})},
        image_pull_policy="Never",
    )
    spec = cluster(defaults=defaults).spec
    assert (spec.image, spec.image_pull_policy, spec.prefect.api_url) == (
        "runtime:1",
        "Never",
        DEFAULTS.prefect_api_url,
    )
    assert spec.workers.resources.limits == {"memory": "1Gi"}
    assert spec.coordinator.resources.requests == {"cpu": "250m"}
    own = cluster({"image": "mine:1", "prefect": {"apiUrl": "http://other/api"}}, defaults).spec
    assert (own.image, own.prefect.api_url) == ("mine:1", "http://other/api")


@pytest.mark.parametrize(("idle", "told"), [({}, None), ({"idleSeconds": 600}, "600")])
def test_the_coordinators_process_is_told_what_a_driver_would_be(idle, told):
    pod = coordinator_pod(cluster(idle))
    env = env_of(pod)
    assert main_of(pod)["command"] == ["python", "-P", "-m", "prefect_flowrun.coordinator"]
    (contract,) = [ClusterContract.model_validate(c) for c in json.loads(env["FLOWRUN_CLUSTERS"])]
    assert (contract.name, contract.task_cluster, contract.port) == ("lab", "lab", 8786)
    assert (env["FLOWRUN_CLUSTER"], env.get("FLOWRUN_IDLE_SECONDS")) == ("lab", told)
    assert "FLOWRUN_NAME" not in env, "it belongs to no run"


def test_workers_and_users_find_the_coordinator_by_the_clusters_name():
    service, pod = coordinator_service(cluster()), coordinator_pod(cluster())
    assert service["metadata"]["name"] == "lab"
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    worker = ENGINES[Engine.DASK].worker(cluster(), 0)
    assert not service["spec"]["selector"].items() <= worker["metadata"]["labels"].items()
    assert env_of(worker)["DASK_SCHEDULER_ADDRESS"] == "tcp://lab:8786"


def test_children_of_a_cluster_are_not_those_of_a_run_of_the_same_name():
    ray = cluster({"engine": "Ray"})
    made = [coordinator_pod(ray), coordinator_service(ray), ENGINES[Engine.RAY].worker(ray, 0), token_of_its_own(ray)]
    for manifest in made:
        labels = manifest["metadata"]["labels"]
        assert "flowrun.dev/run" not in labels
        assert labels["flowrun.dev/taskcluster"] == "lab"
        assert manifest["metadata"]["ownerReferences"][0]["uid"] == "cluster-1"


def test_the_coordinator_fits_pod_security_restricted_and_gets_no_token():
    spec = coordinator_pod(cluster())["spec"]
    assert (spec["automountServiceAccountToken"], spec["securityContext"]["runAsNonRoot"]) == (False, True)
    assert spec["restartPolicy"] == "Never"


def test_a_ray_head_has_its_port_its_memory_and_the_clusters_token():
    ray = cluster({"engine": "Ray", "coordinator": {"resources": {"limits": {"memory": "1Gi"}}}})
    pod = coordinator_pod(ray)
    env = env_of(pod)
    token = token_of_its_own(ray)
    (contract,) = json.loads(env["FLOWRUN_CLUSTERS"])
    assert (contract["port"], contract["address"]) == (6379, "127.0.0.1:6379")
    assert env["RAY_AUTH_TOKEN"]["secretKeyRef"] == {"name": token["metadata"]["name"], "key": "token"}
    assert env_of(ENGINES[Engine.RAY].worker(ray, 0))["RAY_AUTH_TOKEN"] == env["RAY_AUTH_TOKEN"]
    assert any(v["name"] == "shm" for v in pod["spec"]["volumes"])


def test_images_may_differ_where_the_user_says_so():
    own = cluster({"image": "a:1", "coordinator": {"image": "b:1"}})
    assert main_of(coordinator_pod(own))["image"] == "b:1"
    assert main_of(ENGINES[Engine.DASK].worker(own, 0))["image"] == "a:1"


def test_dask_needs_no_secret():
    assert token_of_its_own(cluster()) is None
