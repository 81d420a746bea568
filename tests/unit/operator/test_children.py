"""Manifests of a run's children: the driver's Job, the TaskClusters, the Secret."""

from dataclasses import replace
from itertools import chain

import pytest
from operator_testing.builders import DASK_CLUSTER, DEFAULTS, a_run
from pydantic import TypeAdapter

from flowrun_api.contract import ClusterContract
from flowrun_api.kinds.common import Engine, Resources
from flowrun_api.kinds.taskcluster import TaskCluster
from flowrun_operator.children import belongings, driver_job, task_cluster

WITH_KEY = replace(DEFAULTS, prefect_api_key_set=True)


def job_of(spec: dict | None = None, attempt: int = 1, defaults=DEFAULTS) -> dict:
    return driver_job(a_run(spec), attempt, defaults)


def pod_of(job: dict) -> dict:
    return job["spec"]["template"]["spec"]


def main_of(job: dict) -> dict:
    return next(c for c in pod_of(job)["containers"] if c["name"] == "flowrun")


def env_of(container: dict) -> dict:
    """Return the environment as the container sees it: the last of two entries with one name wins."""
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in container["env"]}


def test_the_driver_fits_pod_security_restricted():
    pod, container = pod_of(job_of()), main_of(job_of())
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint(pod)


def test_the_driver_gets_no_token_and_no_service_variables():
    pod = pod_of(job_of())
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)


def test_the_job_is_tried_once_and_owned_by_the_run():
    job = job_of({"activeDeadlineSeconds": 60})
    assert (job["spec"]["backoffLimit"], pod_of(job)["restartPolicy"]) == (0, "Never")
    assert job["spec"]["activeDeadlineSeconds"] == 60
    assert job["metadata"]["ownerReferences"][0]["kind"] == "FlowRun"
    assert "activeDeadlineSeconds" not in job_of()["spec"]


@pytest.mark.parametrize(("ttl", "job_ttl"), [(0, 3600), (60, 3600), (86_400, 86_400)])
def test_F04_the_job_outlives_a_restart_of_the_operator_however_short_the_ttl(ttl, job_ttl):
    # The result is in its pod; a FlowRun that expires sooner takes it along anyway.
    assert job_of({"ttlSecondsAfterFinished": ttl})["spec"]["ttlSecondsAfterFinished"] == job_ttl


def test_job_and_pod_carry_the_same_labels():
    job = job_of(attempt=3)
    assert job["metadata"]["labels"] == job["spec"]["template"]["metadata"]["labels"]
    assert job["metadata"]["labels"]["flowrun.dev/attempt"] == "3"


def test_the_contract_can_be_read_back():
    clusters = [DASK_CLUSTER, {**DASK_CLUSTER, "name": "wide", "workers": {"replicas": 7, "threads": 2}}]
    spec = {"clusters": clusters, "flow": {"entrypoint": "etl.py:etl"}}
    env = env_of(main_of(job_of(spec, attempt=2)))
    assert {k: env[f"FLOWRUN_{k}"] for k in ("NAME", "NAMESPACE", "ATTEMPT", "ENTRYPOINT", "TASK_RUNNERS")} == {
        "NAME": "etl",
        "NAMESPACE": "team",
        "ATTEMPT": "2",
        "ENTRYPOINT": "etl.py:etl",
        "TASK_RUNNERS": "all",
    }
    first, second = TypeAdapter(list[ClusterContract]).validate_json(env["FLOWRUN_CLUSTERS"])
    assert (first.name, first.engine, first.workers, first.address) == ("default", "Dask", 2, "tcp://127.0.0.1:8786")
    assert (second.port, second.threads_per_worker, second.workers) == (8796, 2, 7)


def contracts_of(clusters: list[dict], defaults=DEFAULTS, **spec) -> list[ClusterContract]:
    env = env_of(main_of(job_of({"clusters": clusters, **spec}, defaults=defaults)))
    return TypeAdapter(list[ClusterContract]).validate_json(env["FLOWRUN_CLUSTERS"])


BOUNDS = {"workers": {"minReplicas": 0, "maxReplicas": 8}}
ON_DEMAND = {"activation": "OnDemand"}


@pytest.mark.parametrize(
    ("cluster", "workers", "bounds", "elastic", "at_start", "most", "scale_down"),
    [
        ({}, 1, (1, 1), False, 1, None, "Any"),
        ({"workers": {"replicas": 3}}, 3, (3, 3), False, 3, None, "Any"),
        ({"workers": {"replicas": 0}}, 0, (0, 0), False, 0, None, "Any"),
        (BOUNDS, 0, (0, 8), True, 0, 8, "EndedOnly"),
        ({"workers": {"minReplicas": 2, "maxReplicas": 2}}, 2, (2, 2), True, 2, 2, "EndedOnly"),
        ({**ON_DEMAND, "workers": {"replicas": 3}}, 3, (3, 3), False, 0, 3, "Any"),
        (ON_DEMAND, 1, (1, 1), False, 0, 1, "Any"),
        ({**ON_DEMAND, **BOUNDS}, 1, (0, 8), True, 0, 8, "EndedOnly"),
    ],
)
def test_how_many_workers_there_are_and_may_be(cluster, workers, bounds, elastic, at_start, most, scale_down):
    cluster = {"name": "c", "engine": "Dask", **cluster}
    (told,) = contracts_of([cluster])
    assert (told.workers, (told.min_workers, told.max_workers), told.elastic) == (workers, bounds, elastic)
    made = TaskCluster.model_validate(task_cluster(a_run({"clusters": [cluster]}), 1, "job-1", 0, DEFAULTS)).spec
    assert (made.workers.replicas, made.workers.max_replicas) == (at_start, most)
    assert made.workers.scale_down == scale_down


def test_the_driver_knows_its_clusters_by_the_names_of_their_objects():
    (told,) = contracts_of([{"name": "gpu", "engine": "Ray", "idleSeconds": 30, "dashboard": True}])
    assert (told.task_cluster, told.idle_seconds, told.dashboard) == ("etl-1-gpu", 30, True)


def test_coordinators_of_both_engines_share_no_port():
    clusters = [{"name": f"c{i}", "engine": "Dask" if i % 2 else "Ray"} for i in range(8)]
    told = contracts_of(clusters)
    assert len({port for c in told for port in (c.port, c.http_port)}) == 16
    assert (told[0].port, told[0].address, told[1].port) == (6379, "127.0.0.1:6379", 8796)
    manifests = [task_cluster(a_run({"clusters": clusters}), 1, "job-1", index, DEFAULTS) for index in range(8)]
    assert [m["spec"]["port"] for m in manifests] == [c.port for c in told]


def test_slots_of_a_ray_worker_are_those_of_the_default_resources_too():
    defaults = replace(DEFAULTS, worker_resources=Resources(limits={"cpu": 3}))
    assert [c.threads_per_worker for c in contracts_of([{"name": "gpu", "engine": "Ray"}], defaults)] == [3]


RAY = {"name": "gpu", "engine": "Ray"}


def test_a_driver_with_a_ray_head_has_shared_memory_settings_and_the_workers_token():
    run = a_run({"clusters": [DASK_CLUSTER, RAY], "driver": {"resources": {"limits": {"memory": "2Gi"}}}})
    job = driver_job(run, 1, DEFAULTS)
    env = env_of(main_of(job))
    made = TaskCluster.model_validate(task_cluster(run, 1, "job-1", 1, DEFAULTS))
    token = {"name": made.spec.token_secret.name, "key": made.spec.token_secret.key}
    assert (env["RAY_AUTH_MODE"], env["RAY_AUTH_TOKEN"]) == ("token", {"secretKeyRef": token})
    (shared,) = [v for v in pod_of(job)["volumes"] if v["name"] == "shm"]
    told = TypeAdapter(list[ClusterContract]).validate_json(env["FLOWRUN_CLUSTERS"])
    assert told[0].object_store_bytes is None
    assert told[1].object_store_bytes <= int(shared["emptyDir"]["sizeLimit"])


def test_a_driver_without_a_ray_cluster_has_none_of_that():
    assert [v["name"] for v in pod_of(job_of())["volumes"]] == ["tmp"]
    assert not [name for name in env_of(main_of(job_of())) if name.startswith("RAY_")]


def test_coordinators_add_to_the_default_resources_of_the_driver_and_the_users_own_stand():
    added = {Engine.DASK: Resources(requests={"cpu": "100m"}), Engine.RAY: Resources(requests={"cpu": "250m"})}
    defaults = replace(DEFAULTS, driver_resources=Resources(requests={"cpu": "150m"}), coordinator_resources=added)
    clusters = {"clusters": [DASK_CLUSTER, RAY, {**RAY, "name": "two", "activation": "OnDemand"}]}
    assert main_of(job_of(clusters, defaults=defaults))["resources"] == {"requests": {"cpu": "750m"}}
    own = {"driver": {"resources": {"requests": {"cpu": "2"}}}}
    assert main_of(job_of({**clusters, **own}, defaults=defaults))["resources"] == {"requests": {"cpu": "2"}}


def test_a_run_without_parameters_and_clusters_still_has_a_contract():
    env = env_of(main_of(job_of({"clusters": []})))
    assert (env["FLOWRUN_PARAMETERS"], env["FLOWRUN_CLUSTERS"]) == ("{}", "[]")


@pytest.mark.parametrize(
    ("word", "value"), [("All", "all"), ("DefaultOnly", "default-only"), ("Explicit", "explicit"), ("None", "none")]
)
def test_the_redirect_of_task_runners_is_passed_on(word, value):
    assert env_of(main_of(job_of({"redirectTaskRunners": word})))["FLOWRUN_TASK_RUNNERS"] == value


def test_environment_the_contract_beats_the_driver_and_the_driver_beats_the_run():
    run_env = [{"name": n, "value": "run"} for n in ("A", "B", "FLOWRUN_NAME")]
    driver_env = [{"name": n, "value": "driver"} for n in ("B", "FLOWRUN_NAME", "PREFECT_API_URL")]
    env = env_of(main_of(job_of({"env": run_env, "driver": {"env": driver_env}})))
    assert (env["A"], env["B"], env["FLOWRUN_NAME"]) == ("run", "driver", "etl")
    assert env["PREFECT_API_URL"] == DEFAULTS.prefect_api_url


def test_resources_of_the_run_replace_the_defaults():
    defaults = replace(DEFAULTS, driver_resources=Resources(requests={"cpu": "1"}))
    assert main_of(job_of(defaults=defaults))["resources"] == {"requests": {"cpu": "1"}}
    own = {"driver": {"resources": {"limits": {"memory": "2Gi"}}}}
    assert main_of(job_of(own, defaults=defaults))["resources"] == {"limits": {"memory": "2Gi"}}


def test_pod_options_reach_the_pod():
    driver = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "spot"}],
        "serviceAccountName": "etl",
        "envFrom": [{"configMapRef": {"name": "c"}}],
        "volumes": [{"name": "data", "emptyDir": {}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "image": "other:2",
    }
    spec = {"driver": driver, "imagePullSecrets": [{"name": "s"}], "imagePullPolicy": "Always"}
    pod, main = pod_of(job_of(spec)), main_of(job_of(spec))
    assert (pod["nodeSelector"], pod["tolerations"], pod["serviceAccountName"]) == (
        {"disk": "ssd"},
        [{"key": "spot"}],
        "etl",
    )
    assert (main["image"], main["imagePullPolicy"], pod["imagePullSecrets"]) == ("other:2", "Always", [{"name": "s"}])
    assert main["volumeMounts"][-1] == {"name": "data", "mountPath": "/data"}
    assert main["envFrom"] == [{"configMapRef": {"name": "c"}}]


def test_the_pod_template_reaches_everything_else_and_keeps_the_rest():
    template = {
        "metadata": {"annotations": {"a": "b"}, "labels": {"team": "x", "flowrun.dev/run": "forged"}},
        "spec": {
            "priorityClassName": "high",
            "containers": [
                {"name": "flowrun", "volumeMounts": [{"name": "tmp", "mountPath": "/scratch"}]},
                {"name": "side", "image": "s"},
            ],
        },
    }
    job = job_of({"driver": {"podTemplate": template}})
    metadata = job["spec"]["template"]["metadata"]
    assert (metadata["annotations"], metadata["labels"]["team"]) == ({"a": "b"}, "x")
    assert metadata["labels"]["flowrun.dev/run"] == "etl"
    assert [c["name"] for c in pod_of(job)["containers"]] == ["flowrun", "side"]
    assert [m["mountPath"] for m in main_of(job)["volumeMounts"]] == ["/tmp", "/scratch"]
    assert (pod_of(job)["priorityClassName"], main_of(job)["image"]) == ("high", "runtime:1")


@pytest.mark.parametrize("template", [{"metadata": None}, {"metadata": {"labels": None}}, {"metadata": "x"}, {}])
def test_F30_a_malformed_pod_template_does_not_stop_the_decision(template):
    labels = job_of({"driver": {"podTemplate": template}})["spec"]["template"]["metadata"]["labels"]
    assert labels["flowrun.dev/role"] == "driver"


def key_secret(run, attempt, defaults):
    """Return the Secret with the Prefect key, if there is one."""
    made = chain(*belongings(run, attempt, defaults))
    return next((m for m in made if "api-key" in m.get("stringData", {})), None)


def test_I5_the_prefect_key_is_only_ever_referred_to():
    run = a_run()
    secret, job = key_secret(run, 1, WITH_KEY), driver_job(run, 1, WITH_KEY)
    reference = env_of(main_of(job))["PREFECT_API_KEY"]["secretKeyRef"]
    assert (secret["metadata"]["name"], list(secret["stringData"])) == (reference["name"], [reference["key"]])
    assert set(secret["stringData"].values()) == {""}
    assert secret["metadata"]["ownerReferences"][0]["uid"] == run.metadata.uid


def test_the_secret_of_a_deleted_run_of_the_same_name_is_another_one():
    names = {key_secret(a_run(uid=uid), 1, WITH_KEY)["metadata"]["name"] for uid in ("aaaaaaaa-1", "bbbbbbbb-1")}
    assert len(names) == 2


def test_a_users_own_key_secret_is_used_as_it_is():
    spec = {"prefect": {"apiKeySecret": {"name": "mine", "key": "k"}}}
    assert key_secret(a_run(spec), 1, WITH_KEY) is None
    env = env_of(main_of(job_of(spec, defaults=WITH_KEY)))
    assert env["PREFECT_API_KEY"] == {"secretKeyRef": {"name": "mine", "key": "k"}}
    assert env["PREFECT_API_URL"] == DEFAULTS.prefect_api_url


def test_the_operators_key_is_never_given_to_another_prefect_server():
    spec = {"prefect": {"apiUrl": "https://other/api"}}
    assert key_secret(a_run(spec), 1, WITH_KEY) is None
    env = env_of(main_of(job_of(spec, defaults=WITH_KEY)))
    assert env["PREFECT_API_URL"] == "https://other/api"
    assert "PREFECT_API_KEY" not in env


def test_without_a_key_there_is_no_secret():
    assert key_secret(a_run(), 1, DEFAULTS) is None


def test_a_task_cluster_is_complete_so_that_later_defaults_do_not_reach_it():
    defaults = replace(DEFAULTS, worker_resources=Resources(limits={"memory": "1Gi"}), image_pull_policy="Never")
    spec = {
        "env": [{"name": "A", "value": "run"}],
        "clusters": [{**DASK_CLUSTER, "workers": {"replicas": 3, "env": [{"name": "A", "value": "mine"}]}}],
        "startupDeadlineSeconds": 77,
    }
    manifest = task_cluster(a_run(spec), 2, "job-2", 0, defaults)
    cluster = TaskCluster.model_validate(manifest)
    workers = cluster.spec.workers
    assert cluster.metadata.name == "etl-2-default"
    assert cluster.metadata.owner_references[0]["uid"] == "job-2"
    assert (workers.replicas, workers.image, workers.resources.limits) == (3, "runtime:1", {"memory": "1Gi"})
    assert [e["value"] for e in workers.env] == ["run", "mine"]
    assert (cluster.spec.image_pull_policy, cluster.spec.startup_deadline_seconds) == ("Never", 77)
    assert cluster.spec.prefect.api_url == DEFAULTS.prefect_api_url
    assert manifest["metadata"]["labels"]["flowrun.dev/cluster"] == "default"
