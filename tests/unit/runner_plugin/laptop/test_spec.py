"""What a laptop reads of a FlowRun, and that a cluster's driver would be told the same."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from flowrun_api.kinds.flowrun import FlowRun
from flowrun_operator.children.clusters import contracts
from flowrun_operator.decide.outcome import CLASSES
from flowrun_operator.decide.retry import BACKOFF_S
from flowrun_operator.model import Defaults
from prefect_flowrun.laptop import commands, ending, run, spec
from prefect_flowrun.laptop.problem import CannotRun

DASK = {"name": "default", "engine": "Dask"}
CLUSTERS: list[dict[str, Any]] = [
    DASK,
    {**DASK, "workers": {"replicas": 3, "threads": 2}},
    {**DASK, "workers": {"replicas": 0}},
    {**DASK, "workers": {"minReplicas": 1, "maxReplicas": 4}},
    {**DASK, "activation": "OnDemand", "idleSeconds": 7},
    {**DASK, "activation": "OnDemand", "workers": {"minReplicas": 0, "maxReplicas": 4}},
    {**DASK, "dashboard": True},
    {"name": "gpu", "engine": "Ray", "workers": {"replicas": 2, "threads": 2}},
]
# Where things are, and how large a store a container has room for, differ; nothing else does.
OF_THE_PLACE = {"address", "port", "http_port", "task_cluster", "object_store_bytes"}


def flow_run(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": "etl"}, "spec": {"flow": {"entrypoint": "flow.py:main"}, **fields}}


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_a_driver_here_is_told_of_a_cluster_what_one_in_a_pod_is(cluster: dict[str, Any]) -> None:
    run = flow_run(clusters=[cluster], startupDeadlineSeconds=77)
    read = spec.read(run)
    here = commands.contract(read.clusters[0], read.startup_deadline_seconds, 8786, 8787)
    (there,) = contracts(FlowRun.model_validate(run), 1, Defaults(image="i"), None)
    assert here.model_dump(exclude=OF_THE_PLACE, mode="json") == there.model_dump(exclude=OF_THE_PLACE, mode="json")


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_as_many_workers_start_as_on_a_cluster(cluster: dict[str, Any]) -> None:
    run = flow_run(clusters=[cluster])
    (there,) = FlowRun.model_validate(run).spec.clusters
    assert spec.read(run).clusters[0].workers_at_start == there.workers_at_start


def test_the_same_reasons_are_final_and_others_are_tried_again_as_late() -> None:
    assert {str(reason) for reason in ending.CLASSES} == set(CLASSES)
    assert run.BACKOFF_S == BACKOFF_S


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"flow": {}}, "spec.flow.entrypoint: Field required"),
        ({"flow": {"entrypoint": "no entrypoint"}}, "spec.flow.entrypoint: "),
        ({"clusters": [{"name": "a", "engine": "Spark"}]}, "spec.clusters[0].engine: Input should be 'Dask' or 'Ray'"),
        ({"clusters": [DASK, DASK]}, "names of clusters must be unique, got default, default"),
        ({"clusters": [{**DASK, "workers": {"replicas": 1, "maxReplicas": 2}}]}, "either replicas, or"),
        ({"clusters": [{**DASK, "workers": {"maxReplicas": 2}}]}, "must be set together"),
        ({"clusters": [{**DASK, "workers": {"minReplicas": 3, "maxReplicas": 2}}]}, "must not exceed"),
        ({"clusters": [{**DASK, "activation": "OnDemand", "workers": {"replicas": 0}}]}, "at least one worker"),
        ({"suspend": True}, "spec.suspend is true"),
    ],
)
def test_a_spec_that_can_not_be_run_is_refused_by_field(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(CannotRun) as refused:
        spec.read(flow_run(**fields))
    assert said in str(refused.value)


def test_a_refusal_quotes_no_values() -> None:
    with pytest.raises(CannotRun) as refused:
        spec.read(flow_run(env=[{"name": "TOKEN", "value": ["s3cr3t"]}]))
    assert "spec.env[0].value" in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


def test_an_engine_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(CannotRun, match=r'Dask is not installed here: pip install "prefect-flowrun\[dask\]"'):
        spec.read(flow_run(clusters=[DASK]))


def test_what_a_secret_holds_on_a_cluster_comes_from_the_shell_here() -> None:
    entries = spec.read(
        flow_run(env=[{"name": "A", "value": "1"}, {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s"}}}])
    ).env
    assert spec.variables(entries, {"KEY": "mine"}) == {"A": "1", "KEY": "mine"}
    with pytest.raises(CannotRun, match="env KEY comes from the cluster"):
        spec.variables(entries, {})
