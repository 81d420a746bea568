import json

import pytest
from operator_testing.builders import a_cluster

from flowrun_api.kinds.common import Engine
from flowrun_operator.build.service import coordinator_service
from flowrun_operator.engines import ENGINES
from flowrun_operator.engines.dask import DaskBuilder

DASK = DaskBuilder()
NAME_63 = f"{'r' * 40}-999-{'c' * 15}"


def worker(workers: dict | None = None, index: int = 0, **spec) -> dict:
    return DASK.worker(a_cluster({"workers": {"replicas": 2, "image": "runtime:1", **(workers or {})}, **spec}), index)


def main_of(pod: dict) -> dict:
    return next(c for c in pod["spec"]["containers"] if c["name"] == "flowrun")


def argument(pod: dict, name: str) -> str:
    command = main_of(pod)["command"]
    return command[command.index(name) + 1]


def test_dask_is_registered():
    assert isinstance(ENGINES[Engine.DASK], DaskBuilder)


def test_a_worker_fits_pod_security_restricted():
    pod = worker()
    security = pod["spec"]["securityContext"]
    assert (security["runAsNonRoot"], security["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    container = main_of(pod)["securityContext"]
    assert container == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_a_worker_gets_no_token():
    assert worker()["spec"]["automountServiceAccountToken"] is False


def test_a_worker_is_named_by_its_index_and_owned_by_its_cluster():
    metadata = worker(index=3)["metadata"]
    assert metadata["name"] == "etl-1-default-w-3"
    assert metadata["ownerReferences"][0]["uid"] == "cluster-1"
    assert metadata["labels"]["flowrun.dev/role"] == "worker"
    assert metadata["labels"]["flowrun.dev/cluster"] == "default"
    assert argument(worker(index=3), "--name") == "etl-1-default-w-3"


def test_a_worker_finds_its_scheduler_through_the_service():
    env = {e["name"]: e.get("value") for e in main_of(worker())["env"]}
    service = coordinator_service(a_cluster())
    assert env["DASK_SCHEDULER_ADDRESS"] == f"tcp://{service['metadata']['name']}:8786"
    assert service["spec"]["ports"][0]["port"] == 8786
    assert "prefect_flowrun.engines.dask_http" in json.loads(env["DASK_DISTRIBUTED__WORKER__HTTP__ROUTES"])


def test_the_service_selects_the_driver_of_its_attempt():
    service = coordinator_service(a_cluster())
    assert service["spec"]["selector"] == {
        "flowrun.dev/run": "etl",
        "flowrun.dev/attempt": "1",
        "flowrun.dev/role": "driver",
    }
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert "clusterIP" not in service["spec"]
    assert service["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "flowrun-operator"


def test_a_users_thread_cap_beats_ours_and_ours_is_there_without_one():
    def last(pod, name):
        return [e["value"] for e in main_of(pod)["env"] if e["name"] == name][-1]

    assert last(worker(), "OMP_NUM_THREADS") == "1"
    assert last(worker({"env": [{"name": "OMP_NUM_THREADS", "value": "8"}]}), "OMP_NUM_THREADS") == "8"


def test_a_user_cannot_replace_the_contract():
    pod = worker({"env": [{"name": "FLOWRUN_CLUSTER", "value": "other"}]})
    assert [e["value"] for e in main_of(pod)["env"] if e["name"] == "FLOWRUN_CLUSTER"][-1] == "default"


def test_threads_and_death_timeout_are_passed_on():
    pod = worker({"threads": 4}, startupDeadlineSeconds=77)
    assert (argument(pod, "--nthreads"), argument(pod, "--death-timeout")) == ("4", "77")
    assert argument(pod, "--resources") == "CPU=4"


@pytest.mark.parametrize(
    ("quantity", "limit"),
    [
        ("2Gi", str(2 * 2**30)),
        ("1.5Gi", str(3 * 2**29)),
        ("512Mi", str(512 * 2**20)),
        ("100Ki", "102400"),
        ("1Ti", str(2**40)),
        ("2G", "2000000000"),
        ("500M", "500000000"),
        ("64k", "64000"),
        ("128974848", "128974848"),
        (128974848, "128974848"),
        ("129e6", "129000000"),
        ("128974848000m", "128974848"),
        ("1P", str(10**15)),
        ("lots", "lots"),
        ("Gi", "Gi"),
    ],
)
def test_memory_quantities_are_given_in_bytes(quantity, limit):
    assert argument(worker({"resources": {"limits": {"memory": quantity}}}), "--memory-limit") == limit


@pytest.mark.parametrize("resources", [None, {"requests": {"memory": "1Gi"}}, {"limits": {"cpu": 1}}])
def test_without_a_memory_limit_the_worker_plans_with_what_its_container_has(resources):
    # To Dask: all of it, and its cgroup's limit where there is one.
    assert argument(worker({"resources": resources} if resources else {}), "--memory-limit") == "1.0"


def test_the_prefect_key_is_referred_to_and_never_in_a_worker():
    spec = {"prefect": {"apiUrl": "http://p/api", "apiKeySecret": {"name": "s", "key": "k"}}}
    entries = {e["name"]: e for e in main_of(worker(**spec))["env"]}
    assert entries["PREFECT_API_KEY"] == {
        "name": "PREFECT_API_KEY",
        "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}},
    }
    assert entries["PREFECT_API_URL"]["value"] == "http://p/api"


def test_the_pod_template_cannot_take_name_owner_or_labels_away():
    template = {
        "metadata": {"name": "x", "namespace": "other", "ownerReferences": [], "labels": {"flowrun.dev/run": "y"}}
    }
    metadata = worker({"podTemplate": template})["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("etl-1-default-w-0", "team")
    assert (len(metadata["ownerReferences"]), metadata["labels"]["flowrun.dev/run"]) == (1, "etl")


def test_F30_a_malformed_pod_template_does_not_stop_the_decision():
    assert worker({"podTemplate": {"metadata": None}})["metadata"]["labels"]["flowrun.dev/run"] == "etl"


def test_a_worker_offers_its_threads_devices_and_custom_resources():
    workers = {
        "threads": 2,
        "resources": {"limits": {"nvidia.com/gpu": 1, "example.com/fpga": 3}},
        "customResources": {"db": 1},
    }
    assert argument(worker(workers), "--resources") == "CPU=2 GPU=1 example.com/fpga=3 db=1"
