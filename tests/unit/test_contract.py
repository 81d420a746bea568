"""The two sides of the contract agree: what the operator writes the driver reads, and the other way round."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrun_api import contract
from flowrun_api.kinds import FlowRun, TaskCluster
from flowrun_operator.children import belongings, completed, coordinator_pod, driver_job
from flowrun_operator.decide.outcome import CLASSES
from flowrun_operator.model import Defaults

RUN: dict[str, Any] = {
    "metadata": {"name": "etl", "namespace": "team", "uid": "u-1"},
    "spec": {
        "flow": {"entrypoint": "flows/etl.py:etl", "parameters": {"day": "2026-11-22", "n": 3}},
        "clusters": [
            {"name": "default", "engine": "Dask", "workers": {"replicas": 3, "threads": 2}},
            {"name": "big", "engine": "Dask", "workers": {"replicas": 0}},
            {"name": "wide", "engine": "Dask", "workers": {"minReplicas": 1, "maxReplicas": 9}, "idleSeconds": 7},
            {"name": "gpu", "engine": "Ray", "activation": "OnDemand", "dashboard": True},
        ],
    },
}


def environment() -> dict[str, str]:
    spec = {**RUN["spec"], "flow": {"entrypoint": "flows/etl.py:etl"}}
    return files_of_the_driver(FlowRun.model_validate({**RUN, "spec": spec}), Path())


def files_of_the_driver(run: FlowRun, folder: Path) -> dict[str, str]:
    """Return the driver's environment, with the files that it names in a folder of this machine."""
    defaults = Defaults(image="runtime:1", prefect_api_url="http://prefect:4200/api")
    job = driver_job(run, 2, defaults)
    pod = job["spec"]["template"]["spec"]
    env = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"] if "value" in entry}
    for stage in belongings(run, 2, defaults):
        for manifest in stage:
            if text := manifest.get("stringData", {}).get("parameters.json"):
                (folder / "parameters.json").write_bytes(json.loads(json.dumps(text)).encode())
    if "FLOWRUN_PARAMETERS_FILE" in env:
        env["FLOWRUN_PARAMETERS_FILE"] = str(folder / Path(env["FLOWRUN_PARAMETERS_FILE"]).name)
    return env


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["$$5", "$(FLOWRUN_NAME)", "$$(HOME)", "${HOME}", " a ", "0755", "2026-11-22"]),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_any_parameters_arrive_as_they_are(parameters: dict[str, Any]) -> None:
    run = FlowRun.model_validate({**RUN, "spec": {"flow": {"entrypoint": "etl.py:etl", "parameters": parameters}}})
    with tempfile.TemporaryDirectory() as folder:
        env = contract.DriverEnvironment.from_env(files_of_the_driver(run, Path(folder)))
    # As text: 1 == 1.0 == True.
    assert json.dumps(env.parameters, sort_keys=True) == json.dumps(parameters, sort_keys=True)


def test_the_driver_reads_the_environment_that_the_operator_writes(tmp_path: Path) -> None:
    env = contract.DriverEnvironment.from_env(files_of_the_driver(FlowRun.model_validate(RUN), tmp_path))
    assert (env.name, env.namespace, env.attempt, env.entrypoint) == ("etl", "team", 2, "flows/etl.py:etl")
    assert env.parameters == {"day": "2026-11-22", "n": 3}
    assert [(c.name, c.engine, c.workers, c.threads_per_worker) for c in env.clusters] == [
        ("default", "Dask", 3, 2),
        ("big", "Dask", 0, 1),
        ("wide", "Dask", 1, 1),
        ("gpu", "Ray", 1, 1),
    ]
    assert len({c.port for c in env.clusters} | {c.http_port for c in env.clusters}) == 8, "no port twice"


def test_the_driver_knows_what_it_may_scale() -> None:
    env = contract.DriverEnvironment.from_env(environment())
    fixed, _, wide, gpu = env.clusters
    assert (fixed.elastic, fixed.min_workers, fixed.max_workers, fixed.object_store_bytes) == (False, 3, 3, None)
    assert (wide.elastic, wide.min_workers, wide.max_workers, wide.idle_seconds) == (True, 1, 9, 7)
    assert (gpu.activation, gpu.elastic, gpu.max_workers, gpu.dashboard) == ("OnDemand", False, 1, True)
    assert gpu.task_cluster == "etl-2-gpu"
    assert (gpu.object_store_bytes or 0) >= 75 * 2**20, "Ray takes no smaller one"


def test_a_standalone_clusters_coordinator_reads_its_contract_too() -> None:
    cluster = TaskCluster.model_validate({"metadata": {"name": "lab", "uid": "u-2"}, "spec": {"engine": "Ray"}})
    pod = coordinator_pod(completed(cluster, Defaults(image="runtime:1")))
    entries = {entry["name"]: entry.get("value", "") for entry in pod["spec"]["containers"][0]["env"]}
    (told,) = contract.clusters_from_env(entries) or ()
    assert (told.name, told.task_cluster, told.engine, told.port) == ("lab", "lab", "Ray", 6379)


@pytest.mark.parametrize("reason", list(contract.Reason))
def test_the_operator_reads_every_result_that_the_driver_writes(reason: contract.Reason, tmp_path) -> None:
    log = tmp_path / "termination-log"
    written = contract.Result(
        flow_run_id="f", type=contract.ResultType.FAILED, name="Failed", message="ü" * 9000, reason=reason
    )
    written.write(log)
    assert log.stat().st_size <= 4096, "the kubelet cuts what is longer"
    read = contract.parse_result(log.read_text())
    assert read is not None
    assert (read.flow_run_id, read.reason) == ("f", reason.value)


def test_the_reasons_that_are_not_retried_are_reasons_of_the_driver() -> None:
    assert {reason.value for reason in contract.Reason} >= CLASSES.keys()


def test_a_reason_of_a_later_driver_is_read_as_it_is() -> None:
    told = '{"type": "FAILED", "name": "Failed", "reason": "SomethingNew"}'
    assert getattr(contract.parse_result(told), "reason", None) == "SomethingNew"
