"""Fields of a spec as Python has them."""

from __future__ import annotations

import pytest
import yaml

from flowrun import FlowRun, Problem, TaskCluster
from flowrun.objects.spec import spec_of
from flowrun_api.kinds import FlowRunSpec

FLOW = {"entrypoint": "etl.py:etl", "parameters": {"snake_case": {"camelCase": 1}, "n": None}}


def test_names_are_yamls_or_pythons_and_nothing_is_added() -> None:
    given = {
        "flow": FLOW,
        "startup_deadline_seconds": 60,
        "retryPolicy": {"maxInfrastructureRetries": 2},
        "clusters": [{"name": "default", "engine": "Dask", "workers": {"min_replicas": 1, "maxReplicas": 4}}],
    }
    assert spec_of(FlowRunSpec, given) == {
        "flow": FLOW,
        "startupDeadlineSeconds": 60,
        "retryPolicy": {"maxInfrastructureRetries": 2},
        "clusters": [{"name": "default", "engine": "Dask", "workers": {"minReplicas": 1, "maxReplicas": 4}}],
    }


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "spec.flow: Field required"),
        ({"flow": FLOW, "cluster": []}, "spec: there is no field cluster"),
        (
            {"flow": FLOW, "clusters": [{"name": "a", "engine": "Dask", "workers": {"count": 1}}]},
            r"spec.clusters\[0\].workers: there is no field count",
        ),
        (
            {"flow": FLOW, "clusters": [{"name": "a", "engine": "Spark"}]},
            r"spec.clusters\[0\].engine: .*'Dask' or 'Ray'",
        ),
        ({"flow": FLOW, "driver": {"resources": {"request": {}}}}, "spec.driver.resources: there is no field request"),
    ],
)
def test_what_the_api_does_not_know_is_named(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FlowRun("etl", **fields)  # type: ignore[arg-type]


def test_a_value_is_not_quoted_in_an_error() -> None:
    with pytest.raises(ValueError, match=r"spec\.env") as refused:
        FlowRun("etl", flow=FLOW, env="s3cr3t")
    assert "s3cr3t" not in str(refused.value)


def test_a_manifest_is_what_kubectl_takes() -> None:
    run = FlowRun("etl", namespace="data", labels={"team": "data"}, flow=FLOW)
    assert yaml.safe_load(run.to_yaml()) == {
        "apiVersion": "flowrun.dev/v1alpha1",
        "kind": "FlowRun",
        "metadata": {"name": "etl", "namespace": "data", "labels": {"team": "data"}},
        "spec": {"flow": FLOW},
    }
    cluster = TaskCluster("lab", "Ray", workers=4, idle_seconds=600, dashboard=True)
    assert yaml.safe_load(cluster.to_yaml())["spec"] == {
        "engine": "Ray",
        "workers": {"replicas": 4},
        "idleSeconds": 600,
        "dashboard": True,
    }


def test_what_is_not_on_a_cluster_yet_says_so() -> None:
    with pytest.raises(Problem, match=r"apply\(\) it, or FlowRun.get\('etl'\)"):
        FlowRun("etl", flow=FLOW).wait()
    with pytest.raises(Problem, match=r"apply\(\) it, or TaskCluster.attach\('lab'\)"):
        TaskCluster("lab").scale(3)
    assert repr(TaskCluster("lab")) == "<TaskCluster lab: Dask, not applied>"
    assert TaskCluster("<lab>")._repr_html_() == "<b>TaskCluster &lt;lab&gt;</b><br/>Dask, not applied"
