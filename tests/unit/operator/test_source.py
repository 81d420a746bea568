"""Code and files of a flow: the same folders on driver, coordinators and workers."""

import json

import pytest
from operator_testing.builders import DASK_CLUSTER, DEFAULTS, a_cluster, a_run

from flowrun_api.kinds.taskcluster import TaskCluster
from flowrun_operator.children import completed, coordinator_pod, driver_job, task_cluster
from flowrun_operator.engines import ENGINES

SOURCES = [
    ({"configMap": "code"}, {"configMap": {"name": "code"}}),
    ({"persistentVolumeClaim": "code"}, {"persistentVolumeClaim": {"claimName": "code", "readOnly": True}}),
]
RAY_CLUSTER = {"name": "default", "engine": "Ray"}
every_source = pytest.mark.parametrize(("source", "volume"), SOURCES, ids=["ConfigMap", "claim"])
both_engines = pytest.mark.parametrize("cluster", [DASK_CLUSTER, RAY_CLUSTER], ids=["Dask", "Ray"])


def driver(source, cluster) -> dict:
    run = a_run({"flow": {"entrypoint": "etl.py:etl", "source": source}, "clusters": [cluster]})
    return driver_job(run, 1, DEFAULTS)["spec"]["template"]["spec"]


def worker(source, cluster) -> dict:
    """Return a worker as the TaskCluster alone describes it."""
    run = a_run({"flow": {"entrypoint": "etl.py:etl", "source": source}, "clusters": [cluster]})
    made = TaskCluster.model_validate(task_cluster(run, 1, "job-uid", 0, DEFAULTS))
    return ENGINES[made.spec.engine].worker(made, 0)["spec"]


def main(pod) -> dict:
    return next(c for c in pod["containers"] if c["name"] == "flowrun")


def told(pod) -> dict:
    return {e["name"]: e.get("value") for e in main(pod)["env"] if e["name"] in {"FLOWRUN_SOURCE", "FLOWRUN_WORK"}}


def check(pod, volume) -> None:
    assert {"name": "flowrun-source", **volume} in pod["volumes"]
    assert {"name": "flowrun-work", "emptyDir": {}} in pod["volumes"]
    mounts = main(pod)["volumeMounts"]
    assert {"name": "flowrun-source", "mountPath": "/flowrun/source", "readOnly": True} in mounts
    assert {"name": "flowrun-work", "mountPath": "/flowrun/work"} in mounts
    assert main(pod)["workingDir"] == "/flowrun/work"
    assert told(pod) == {"FLOWRUN_SOURCE": "/flowrun/source", "FLOWRUN_WORK": "/flowrun/work"}


@every_source
@both_engines
def test_driver_and_workers_work_in_a_writable_folder_beside_the_source(source, volume, cluster):
    for pod in (driver(source, cluster), worker(source, cluster)):
        check(pod, volume)


@every_source
def test_so_does_a_standalone_cluster_that_names_one(source, volume):
    cluster = completed(a_cluster({"engine": "Dask", "flowRun": None, "source": source}), DEFAULTS)
    for pod in (coordinator_pod(cluster), ENGINES[cluster.spec.engine].worker(cluster, 0)["spec"]):
        check(pod.get("spec", pod), volume)


GIT = {"git": {"url": "https://example.com/team/flows", "ref": "v1", "path": "nightly"}}


@both_engines
def test_code_in_git_is_fetched_by_the_driver_alone(cluster):
    source = {"git": {**GIT["git"], "credentialsSecret": {"name": "git", "key": "token"}}}
    pod = driver(source, cluster)
    env = {e["name"]: e.get("value") for e in main(pod)["env"]}
    assert json.loads(env["FLOWRUN_GIT"]) == GIT["git"]
    assert env["FLOWRUN_GIT_CREDENTIALS_FILE"] == "/flowrun/git/credentials"
    items = [{"key": "token", "path": "credentials"}]
    assert {"name": "flowrun-git", "secret": {"secretName": "git", "items": items}} in pod["volumes"]
    assert {"name": "flowrun-git", "mountPath": "/flowrun/git", "readOnly": True} in main(pod)["volumeMounts"]
    for each in (pod, worker(source, cluster)):
        assert main(each)["workingDir"] == "/flowrun/work"
        assert told(each) == {"FLOWRUN_WORK": "/flowrun/work"}
    assert "git" not in str(worker(source, cluster))


def test_a_repository_that_everybody_may_read_needs_no_secret():
    assert not [v for v in driver(GIT, DASK_CLUSTER)["volumes"] if v["name"] == "flowrun-git"]


@both_engines
def test_without_a_source_the_images_working_directory_counts(cluster):
    for pod in (driver(None, cluster), worker(None, cluster)):
        assert "workingDir" not in main(pod)
        assert told(pod) == {}
        assert not [v for v in pod["volumes"] if v["name"] in {"flowrun-source", "flowrun-work"}]


@both_engines
def test_no_process_of_ours_looks_for_its_own_modules_among_the_flows_files(cluster):
    for pod in (driver(None, cluster), worker(None, cluster)):
        assert main(pod)["command"][:3] == ["python", "-P", "-m"]


def test_a_users_volume_may_have_an_ordinary_name():
    mine = {"volumes": [{"name": "work", "emptyDir": {}}, {"name": "source", "emptyDir": {}}]}
    run = a_run({"flow": {"entrypoint": "etl.py:etl", "source": {"configMap": "code"}}, "driver": mine})
    names = [v["name"] for v in driver_job(run, 1, DEFAULTS)["spec"]["template"]["spec"]["volumes"]]
    assert len(names) == len(set(names))
