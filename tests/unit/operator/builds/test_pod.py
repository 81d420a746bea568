"""What all pods of a run or of a standalone cluster have in common: the user's labels, and as whom they run."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import pytest
from operator_testing.builders import DASK_CLUSTER, DEFAULTS, a_cluster, a_run
from pydantic import ValidationError

from flowrun_api.kinds.common import PodSecurity
from flowrun_api.kinds.taskcluster import TaskCluster
from flowrun_operator.build.service import coordinator_service
from flowrun_operator.children import (
    belongings,
    completed,
    coordinator_pod,
    driver_job,
    report_job,
    task_cluster,
    token_of_its_own,
)
from flowrun_operator.engines import ENGINES

CLUSTERS = [DASK_CLUSTER, {"name": "gpu", "engine": "Ray", "activation": "OnDemand", "workers": {"replicas": 1}}]
KEYED = replace(DEFAULTS, prefect_api_key_set=True)
LABELS = {"cost-center": "4711", "app.kubernetes.io/part-of": "billing"}


def of_a_run(spec: dict, defaults=KEYED) -> Iterator[dict]:
    """Everything that an attempt of a run is made of, and the Job that reports its end."""
    run = a_run({"clusters": CLUSTERS, **spec})
    yield from chain(*belongings(run, 2, defaults))
    yield driver_job(run, 2, defaults)
    yield report_job(run, 2, defaults, "CRASHED", "")
    for index in range(len(CLUSTERS)):
        made = task_cluster(run, 2, "job-2", index, defaults)
        yield made
        cluster = TaskCluster.model_validate(made)
        yield coordinator_service(cluster)
        yield ENGINES[cluster.spec.engine].worker(cluster, 0)


def of_a_standalone_cluster(spec: dict, defaults=KEYED) -> Iterator[dict]:
    cluster = completed(a_cluster({"flowRun": None, "engine": "Ray", **spec}, name="lab"), defaults)
    yield coordinator_service(cluster)
    yield coordinator_pod(cluster)
    yield token_of_its_own(cluster)
    yield ENGINES[cluster.spec.engine].worker(cluster, 0)


def pods(manifests: Iterator[dict]) -> list[dict]:
    made = [m["spec"]["template"] if m["kind"] == "Job" else m for m in manifests if m["kind"] in {"Job", "Pod"}]
    assert len(made) > 1
    return made


@pytest.mark.parametrize("made", [of_a_run, of_a_standalone_cluster])
def test_every_child_has_the_users_labels_and_every_pod_the_annotations(made):
    spec = {"podMetadata": {"labels": LABELS, "annotations": {"sidecar.istio.io/inject": "false"}}}
    manifests = list(made(spec))
    assert [m["kind"] for m in manifests if not m["metadata"]["labels"].items() >= LABELS.items()] == []
    for pod in pods(iter(manifests)):
        assert pod["metadata"]["labels"].items() >= LABELS.items()
        assert pod["metadata"]["annotations"] == {"sidecar.istio.io/inject": "false"}


@pytest.mark.parametrize("made", [of_a_run, of_a_standalone_cluster])
def test_labels_by_which_children_are_found_are_not_the_users(made):
    wanted = {"flowrun.dev/run": "x", "flowrun.dev/taskcluster": "x", "flowrun.dev/new": "x"}
    given = {**wanted, "app.kubernetes.io/managed-by": "Helm"}
    for manifest in made({"podMetadata": {"labels": given}}):
        labels = manifest["metadata"]["labels"]
        assert "x" not in labels.values()
        assert labels["app.kubernetes.io/managed-by"] == "flowrun-operator"


def test_a_pod_template_says_it_for_one_role_and_the_job_has_the_labels_of_its_pod():
    template = {"metadata": {"labels": {"cost-center": "5", "flowrun.dev/role": "worker"}}}
    spec = {"podMetadata": {"labels": LABELS}, "driver": {"podTemplate": template}}
    job = driver_job(a_run(spec), 1, DEFAULTS)
    assert job["metadata"]["labels"] == job["spec"]["template"]["metadata"]["labels"]
    assert job["metadata"]["labels"]["cost-center"] == "5"
    assert job["metadata"]["labels"]["flowrun.dev/role"] == "driver"


@pytest.mark.parametrize("value", ["a b", "-a", "x" * 64])
def test_a_label_that_no_object_may_have_is_refused_with_the_run(value):
    with pytest.raises(ValidationError, match=r"podMetadata\.labels"):
        a_run({"podMetadata": {"labels": {"owner": value}}})


@pytest.mark.parametrize("made", [of_a_run, of_a_standalone_cluster])
@pytest.mark.parametrize(
    ("installed", "asked", "used"),
    [
        (None, None, {"runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001}),
        (PodSecurity(), None, {}),
        (PodSecurity(run_as_user=7), None, {"runAsUser": 7}),
        (PodSecurity(run_as_user=7), {"fsGroup": 8}, {"fsGroup": 8}),
        (PodSecurity(run_as_user=7), {}, {}),
    ],
)
def test_the_user_of_all_pods_is_the_runs_else_that_of_the_installation_else_that_of_our_images(
    made, installed, asked, used
):
    spec = {} if asked is None else {"podSecurityContext": asked}
    for pod in pods(made(spec, replace(KEYED, pod_security_context=installed))):
        context = pod["spec"]["securityContext"]
        assert {key: context[key] for key in ("runAsUser", "runAsGroup", "fsGroup") if key in context} == used
        assert (context["runAsNonRoot"], context["seccompProfile"]["type"]) == (True, "RuntimeDefault")
