from dataclasses import replace

import pytest
from operator_testing.builders import DASK_CLUSTER, DEFAULTS, a_cluster, a_run

from flowrun_api.kinds.common import Engine, Resources
from flowrun_operator.children import completed
from flowrun_operator.decide.memory import run_shortage, standalone_shortage

RAY = {"name": "gpu", "engine": "Ray"}


def limits(memory):
    return {"resources": {"limits": {"memory": memory}}}


def ray(memory=None, **more):
    return {**RAY, **({"workers": limits(memory)} if memory else {}), **more}


def template(memory):
    return {"podTemplate": {"spec": {"containers": [{"name": "flowrun", **limits(memory)}]}}}


# name, clusters, driver, what the message says
TABLE = [
    ("no limit is known", [RAY], {}, None),
    ("a worker at the floor", [ray("256Mi")], {}, None),
    ("a worker below it", [ray("255Mi")], {}, "spec.clusters[0].workers.resources.limits.memory"),
    ("a limit of the pod template", [{**RAY, "workers": template("200Mi")}], {}, "at least 256Mi, it has 200Mi"),
    ("the second cluster's worker", [DASK_CLUSTER, ray("100M")], {}, "spec.clusters[1].workers"),
    ("a small Dask worker is the user's business", [{**DASK_CLUSTER, "workers": limits("64Mi")}], {}, None),
    ("no quantity: the API server refuses the pod", [ray("lots")], {}, None),
    ("a driver with room for its head", [RAY], limits("320Mi"), None),
    ("a driver without", [RAY], limits("300Mi"), "at least 320Mi, it has 300Mi: raise spec.driver.resources"),
    ("a dashboard needs more", [ray(dashboard=True)], limits("1Gi"), "at least 1152Mi"),
    ("two heads", [RAY, {**RAY, "name": "big"}], limits("511Mi"), "'gpu', 'big' needs"),
    ("a head on demand too", [ray(activation="OnDemand")], limits("256Mi"), "at least 320Mi"),
    ("a driver with schedulers only", [DASK_CLUSTER], limits("128Mi"), None),
]


@pytest.mark.parametrize(("clusters", "driver", "said"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE])
def test_memory_table(clusters, driver, said):
    found = run_shortage(a_run({"clusters": clusters, "driver": driver}), DEFAULTS)
    if said is None:
        assert found is None
    else:
        assert found.reason == "InsufficientMemory"
        assert said in found.message


def test_the_operators_defaults_count_where_the_run_says_nothing():
    small = Resources(limits={"memory": "200Mi"})
    assert run_shortage(a_run({"clusters": [RAY]}), replace(DEFAULTS, worker_resources=small)) is not None
    head = replace(DEFAULTS, driver_resources=Resources(limits={"memory": "256Mi"}))
    assert run_shortage(a_run({"clusters": [RAY]}), head) is not None
    with_head = replace(head, coordinator_resources={Engine.RAY: Resources(limits={"memory": "1Gi"})})
    assert run_shortage(a_run({"clusters": [RAY]}), with_head) is None


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, None),
        ({"workers": {**limits("200Mi")}}, "spec.workers.resources"),
        ({"coordinator": limits("128Mi")}, "spec.coordinator.resources"),
        ({"coordinator": limits("192Mi")}, None),
        ({"coordinator": limits("640Mi"), "dashboard": True}, "at least 1024Mi"),
    ],
)
def test_a_standalone_clusters_own_pods(spec, said):
    cluster = completed(a_cluster({"flowRun": None, "engine": "Ray", **spec}), DEFAULTS)
    found = standalone_shortage(cluster)
    assert found is None if said is None else said in found.message
