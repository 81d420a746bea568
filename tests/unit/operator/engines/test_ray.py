import json

import pytest
from operator_testing.builders import a_cluster

from flowrun_api.kinds.common import Engine, Resources, SecretKey
from flowrun_api.kinds.taskcluster import TaskClusterWorkers
from flowrun_operator.engines import ENGINES
from flowrun_operator.engines.ray import RayBuilder

RAY = RayBuilder()
MI = 2**20
SMALLEST_STORE = 75 * MI  # `ray start` refuses a smaller one


def worker(workers: dict | None = None, index: int = 0, **spec) -> dict:
    given = {"replicas": 2, "image": "runtime:1", **(workers or {})}
    token = {"name": "etl-1-ray", "key": "token"}
    return RAY.worker(a_cluster({"engine": "Ray", "port": 6389, "workers": given, "tokenSecret": token, **spec}), index)


def main_of(pod: dict) -> dict:
    return next(c for c in pod["spec"]["containers"] if c["name"] == "flowrun")


def argument(pod: dict, name: str) -> str:
    command = main_of(pod)["command"]
    return command[command.index(name) + 1]


def env_of(container: dict) -> dict:
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in container["env"]}


def shared_bytes(pod: dict) -> int:
    (volume,) = [v for v in pod["spec"]["volumes"] if v["name"] == "shm"]
    assert volume["emptyDir"]["medium"] == "Memory"
    assert {"name": "shm", "mountPath": "/dev/shm"} in main_of(pod)["volumeMounts"]
    return int(volume["emptyDir"]["sizeLimit"])


def memory(limit: str) -> dict:
    return {"resources": {"limits": {"memory": limit}}}


def test_ray_is_registered():
    assert isinstance(ENGINES[Engine.RAY], RayBuilder)


def test_a_worker_fits_pod_security_restricted_and_gets_no_token_of_kubernetes():
    pod = worker()
    security = pod["spec"]["securityContext"]
    assert (security["runAsNonRoot"], security["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    assert main_of(pod)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["spec"]["automountServiceAccountToken"] is False


def test_a_worker_is_our_launcher_that_finds_the_head_through_the_service():
    pod = worker(index=3, startupDeadlineSeconds=77)
    assert main_of(pod)["command"][:4] == ["python", "-P", "-m", "prefect_flowrun.engines.ray_worker"]
    assert argument(pod, "--address") == "etl-1-default:6389"
    assert argument(pod, "--name") == pod["metadata"]["name"] == "etl-1-default-w-3"
    assert argument(pod, "--death-timeout") == "77"
    assert "initContainers" not in pod["spec"]


def test_every_node_has_the_token_and_says_so_explicitly():
    # A half-set mode breaks clusters in confusing ways.
    host = RAY.host(None, 1, SecretKey(name="etl-1-ray", key="token"))
    for env in (env_of(main_of(worker())), env_of({"env": host.env})):
        assert env["RAY_AUTH_MODE"] == "token"
        assert env["RAY_AUTH_TOKEN"] == {"secretKeyRef": {"name": "etl-1-ray", "key": "token"}}
        assert env["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"] == "0"
        assert env["RAY_task_oom_retries"] == "0"
        assert env["FLOWRUN_POD_IP"] == {"fieldRef": {"fieldPath": "status.podIP"}}


def test_a_user_cannot_replace_the_token():
    env = env_of(main_of(worker({"env": [{"name": "RAY_AUTH_MODE", "value": "disabled"}]})))
    assert env["RAY_AUTH_MODE"] == "token"


def test_a_standalone_clusters_token_is_in_a_secret_of_its_own():
    env = env_of(main_of(worker(flowRun=None, tokenSecret=None)))
    assert env["RAY_AUTH_TOKEN"]["secretKeyRef"] == {"name": "etl-1-default-ray-cluster-", "key": "token"}


@pytest.mark.parametrize(
    ("limit", "shared"), [("2Gi", int(0.3 * 2 * 2**30)), ("256Mi", 80 * MI)], ids=["ordinary", "tiny"]
)
def test_shared_memory_is_a_part_of_the_containers_and_holds_the_object_store(limit, shared):
    pod = worker(memory(limit))
    assert shared_bytes(pod) == shared
    assert SMALLEST_STORE <= int(argument(pod, "--object-store-memory")) <= shared


@pytest.mark.parametrize(
    ("workers", "store"),
    [
        ({"resources": {"requests": {"memory": "1Gi"}}}, 0.3 * 2**30),
        (memory("lots"), 0.3 * 2 * 2**30),
        ({}, 0.3 * 2 * 2**30),
    ],
    ids=["request", "no quantity", "unknown"],
)
def test_without_a_limit_the_size_of_shared_memory_is_left_to_the_limit_that_the_pod_gets(workers, store):
    pod = worker(workers)
    (volume,) = [v for v in pod["spec"]["volumes"] if v["name"] == "shm"]
    assert volume["emptyDir"] == {"medium": "Memory"}
    assert int(argument(pod, "--object-store-memory")) == int(int(store) * 0.95), "a plan, for a node without limit"
    assert env_of(main_of(pod))["FLOWRUN_RAY_FIT_STORE"] == "1"
    assert "FLOWRUN_RAY_FIT_STORE" not in env_of(main_of(worker(memory("2Gi"))))


def test_a_memory_limit_of_the_pod_template_counts():
    template = {"spec": {"containers": [{"name": "flowrun", "resources": {"limits": {"memory": "1Gi"}}}]}}
    assert shared_bytes(worker({"podTemplate": template})) == int(0.3 * 2**30)


def test_heads_in_a_container_without_a_limit_fit_their_stores_too():
    host = RAY.host(Resources(requests={"memory": "1Gi"}), 1, SecretKey(name="s"))
    assert env_of({"env": host.env})["FLOWRUN_RAY_FIT_STORE"] == "1"
    assert host.volumes[0]["emptyDir"] == {"medium": "Memory"}


def test_the_users_own_dev_shm_replaces_ours():
    own = {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}}
    pod = worker({"volumes": [own], "volumeMounts": [{"name": "dshm", "mountPath": "/dev/shm"}]})
    assert [m["name"] for m in main_of(pod)["volumeMounts"] if m["mountPath"] == "/dev/shm"] == ["dshm"]
    assert [v["name"] for v in pod["spec"]["volumes"]] == ["tmp", "dshm"]


@pytest.mark.parametrize("coordinators", [1, 2, 5])
@pytest.mark.parametrize("limit", ["512Mi", "4Gi"])
def test_heads_of_one_container_share_its_memory(coordinators, limit):
    resources = Resources(limits={"memory": limit})
    host = RAY.host(resources, coordinators, SecretKey(name="s"))
    shared = int(host.volumes[0]["emptyDir"]["sizeLimit"])
    store = RAY.store_bytes(resources, coordinators)
    assert store >= SMALLEST_STORE
    assert store * coordinators <= shared


@pytest.mark.parametrize(
    ("workers", "cpus"),
    [
        ({"resources": {"limits": {"cpu": 4}, "requests": {"cpu": 1}}}, 4),
        ({"resources": {"requests": {"cpu": "1500m"}}}, 2),
        ({"resources": {"requests": {"cpu": "250m"}}}, 1),
        ({"resources": {"requests": {"cpu": 0}}}, 1),
        ({"resources": {"limits": {"cpu": "lots"}}}, 1),
        ({"threads": 3, "resources": {"limits": {"cpu": 1}}}, 3),
        ({}, 1),
    ],
)
def test_cpus_come_from_threads_else_limit_else_request(workers, cpus):
    assert argument(worker(workers), "--num-cpus") == str(cpus)
    assert RAY.slots(TaskClusterWorkers.model_validate(workers)) == cpus


def test_gpus_are_told():
    assert argument(worker({"resources": {"limits": {"nvidia.com/gpu": 2}}}), "--num-gpus") == "2"
    assert "--num-gpus" not in main_of(worker())["command"]


def test_other_devices_and_custom_resources_are_told_by_name():
    pod = worker({"resources": {"limits": {"google.com/tpu": 4}}, "customResources": {"db": 2}})
    assert json.loads(argument(pod, "--resources")) == {"TPU": 4, "db": 2}
    assert "--num-gpus" not in main_of(pod)["command"]
    assert "--resources" not in main_of(worker())["command"]


def test_CPUs_of_the_pod_template_count():
    template = {"spec": {"containers": [{"name": "flowrun", "resources": {"limits": {"cpu": 3}}}]}}
    assert argument(worker({"podTemplate": template}), "--num-cpus") == "3"


def test_readiness_is_the_launchers_and_for_the_status_only():
    container = main_of(worker())
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert container["readinessProbe"]["periodSeconds"] == 1
    assert str(container["ports"][0]["containerPort"]) == argument(worker(), "--ready-port")


def test_dashboards_of_one_driver_have_ports_of_their_own():
    ports = [RAY.http_port(6379 + 10 * index) for index in range(8)]
    assert (ports[0], len(set(ports))) == (8265, 8)
    assert 0 < RAY.http_port(65534) < 65536
