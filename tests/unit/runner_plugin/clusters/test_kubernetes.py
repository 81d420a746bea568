"""The client of the Kubernetes API, over HTTP to a server of this test, and what a flow's log is told."""

from __future__ import annotations

import logging
import time

import httpx
import pytest
from loopback_clusters import KubeApi

from prefect_flowrun.clusters import kubernetes, waiting_reasons
from prefect_flowrun.clusters.kubernetes import Condition, ScaleError, TaskClusters

PATH = "/apis/flowrun.dev/v1alpha1/namespaces/team/taskclusters/run-1-gpu"


@pytest.fixture
def api():
    server = KubeApi()
    yield server
    server.close()


@pytest.fixture
def clusters(api, monkeypatch):
    monkeypatch.setattr(kubernetes, "RETRY_INTERVAL_S", 0.01)
    return TaskClusters(httpx.Client(base_url=api.url), "team", lambda: "the-token")


def test_scaling_is_a_merge_patch_of_the_scale_subresource_with_the_pods_token(api, clusters):
    clusters.scale("run-1-gpu", 3)
    patch = {"spec": {"replicas": 3}}
    assert api.requests == [
        ("PATCH", f"{PATH}/scale", "Bearer the-token", "application/merge-patch+json", patch),
    ]


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
def test_what_may_pass_is_tried_again(api, clusters, status):
    api.refusals += [(status, "not yet")] * 2
    clusters.scale("run-1-gpu", 3)
    assert api.scaled == [("run-1-gpu", 3)] * 3


def test_a_refusal_is_told_at_once_in_the_servers_words(api, clusters):
    api.refusals.append((422, "spec.replicas: more than maxReplicas"))
    with pytest.raises(ScaleError, match=r"422 spec\.replicas: more than maxReplicas"):
        clusters.scale("run-1-gpu", 9)
    assert len(api.requests) == 1


def test_a_server_that_stays_silent_is_given_up_on(monkeypatch):
    monkeypatch.setattr(kubernetes, "PATIENCE_S", 0.05)
    monkeypatch.setattr(kubernetes, "RETRY_INTERVAL_S", 0.01)
    nobody = TaskClusters(httpx.Client(base_url="http://127.0.0.1:9"), "team", lambda: "the-token")
    with pytest.raises(ScaleError, match="ConnectError"):
        nobody.scale("run-1-gpu", 1)


def test_the_condition_ready_is_read_and_none_is_there_at_first(api, clusters):
    assert clusters.condition("run-1-gpu") is None
    api.conditions += [
        {"type": "Other", "status": "True"},
        {"type": "Ready", "status": "False", "reason": "Unschedulable", "message": "no node with a GPU"},
    ]
    assert clusters.condition("run-1-gpu") == Condition(False, "Unschedulable", "no node with a GPU")


def test_outside_a_pod_and_without_a_token_nothing_can_be_scaled(tmp_path):
    in_pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert TaskClusters.of_this_pod("team", {}, tmp_path) is None
    assert TaskClusters.of_this_pod("team", in_pod, tmp_path) is None


def test_the_log_is_told_why_a_cluster_waits_and_only_what_is_new(api, clusters, monkeypatch, caplog):
    monkeypatch.setattr(waiting_reasons, "POLL_INTERVAL_S", 0.01)
    logger = logging.getLogger("flow")
    caplog.set_level(logging.INFO, "flow")
    ready = {"type": "Ready", "status": "False", "reason": "Pulling", "message": "2 of 2 workers"}
    api.conditions.append(ready)
    with waiting_reasons.Reasons(clusters, "run-1-gpu", "gpu", logger) as told:
        _wait(lambda: len(api.requests) > 3)
        ready.update(reason="Unschedulable", message="")
        _wait(lambda: told.last == "Unschedulable" and len(caplog.records) > 1)
        ready.update(status="True")
    assert [record.getMessage() for record in caplog.records] == [
        "Waiting for cluster 'gpu'. Pulling: 2 of 2 workers",
        "Waiting for cluster 'gpu'. Unschedulable",
    ]


def _wait(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
