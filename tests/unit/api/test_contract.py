"""The contract: environment in, result out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrun_api.contract import (
    RESULT_LIMIT_BYTES,
    ContractError,
    DriverEnvironment,
    Reason,
    RedirectPolicy,
    Result,
    ResultType,
    clusters_from_env,
)

CLUSTER = {"name": "default", "engine": "Dask", "address": "tcp://127.0.0.1:8786", "port": 8786, "httpPort": 8787}
ENV = {
    "FLOWRUN_NAME": "etl",
    "FLOWRUN_NAMESPACE": "team",
    "FLOWRUN_UID": "u-1",
    "FLOWRUN_ATTEMPT": "2",
    "FLOWRUN_ENTRYPOINT": "flows/etl.py:etl",
    "FLOWRUN_PARAMETERS": '{"day": "2026-11-22"}',
    "FLOWRUN_TASK_RUNNERS": "default-only",
    "FLOWRUN_CLUSTERS": json.dumps([CLUSTER]),
}


def test_the_environment_is_read_whole():
    env = DriverEnvironment.from_env(ENV)
    assert env.parameters == {"day": "2026-11-22"}
    assert env.task_runners is RedirectPolicy.DEFAULT_ONLY
    assert env.clusters[0].http_port == 8787
    assert env.clusters[0].threads_per_worker == 1
    assert env.tags == ["flowrun", "flowrun:team/etl"]


@pytest.mark.parametrize("attempt", ["1", "2"])
def test_all_attempts_are_one_flow_run_that_bears_the_name_of_the_flowrun(attempt):
    env = DriverEnvironment.from_env({**ENV, "FLOWRUN_ATTEMPT": attempt})
    assert (env.flow_run_name, env.idempotency_key) == ("etl", "flowrun-u-1")
    assert env.labels["flowrun.dev/attempt"] == attempt


def test_what_may_be_left_out_has_a_default():
    required = ("FLOWRUN_NAME", "FLOWRUN_NAMESPACE", "FLOWRUN_UID", "FLOWRUN_ENTRYPOINT")
    env = DriverEnvironment.from_env({name: ENV[name] for name in required})
    assert (env.attempt, env.parameters, env.clusters, env.task_runners) == (1, {}, (), RedirectPolicy.ALL)


def test_parameters_of_a_file_come_before_those_of_the_variable(tmp_path):
    file = tmp_path / "parameters.json"
    file.write_text('{"price": "$$5", "nothing": null, "where": "$(FLOWRUN_NAME)"}')
    env = DriverEnvironment.from_env({**ENV, "FLOWRUN_PARAMETERS": "elsewhere", "FLOWRUN_PARAMETERS_FILE": str(file)})
    assert env.parameters == {"price": "$$5", "nothing": None, "where": "$(FLOWRUN_NAME)"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"FLOWRUN_NAME": ""}, "FLOWRUN_NAME is not set"),
        ({"FLOWRUN_ATTEMPT": "zero"}, "FLOWRUN_ATTEMPT"),
        ({"FLOWRUN_PARAMETERS": "{"}, "FLOWRUN_PARAMETERS is not valid JSON"),
        ({"FLOWRUN_PARAMETERS": "[1]"}, "FLOWRUN_PARAMETERS"),
        ({"FLOWRUN_PARAMETERS_FILE": "/nowhere/p.json"}, "FLOWRUN_PARAMETERS_FILE: /nowhere/p.json can't be read"),
        ({"FLOWRUN_PARAMETERS_FILE": __file__}, "FLOWRUN_PARAMETERS_FILE is not valid JSON"),
        ({"FLOWRUN_TASK_RUNNERS": "some"}, "FLOWRUN_TASK_RUNNERS"),
        ({"FLOWRUN_CLUSTERS": json.dumps([{**CLUSTER, "port": 0}])}, "FLOWRUN_CLUSTERS[0][port]"),
        ({"FLOWRUN_CLUSTERS": json.dumps([CLUSTER, CLUSTER])}, "unique"),
    ],
)
def test_a_wrong_variable_is_named(change, message):
    with pytest.raises(ContractError) as caught:
        DriverEnvironment.from_env({**ENV, **change})
    assert message in str(caught.value)


def test_outside_a_flowrun_there_are_no_clusters_to_speak_of():
    assert clusters_from_env({}) is None
    assert clusters_from_env({"FLOWRUN_NAME": "etl"}) == ()
    assert [cluster.name for cluster in clusters_from_env(ENV) or ()] == ["default"]


def test_a_newer_operator_may_add_fields():
    env = {**ENV, "FLOWRUN_CLUSTERS": json.dumps([{**CLUSTER, "certificate": "x"}])}
    assert DriverEnvironment.from_env(env).clusters[0].name == "default"


@given(message=st.text(max_size=9000))
def test_a_result_always_fits_the_termination_log_and_stays_json(message):
    result = Result(
        flow_run_id="0" * 36, type=ResultType.FAILED, name="Failed", message=message, reason=Reason.FLOW_FAILED
    )
    data = result.to_bytes()
    assert len(data) <= RESULT_LIMIT_BYTES
    assert message.startswith(json.loads(data)["message"])
    if len(result.model_dump_json(by_alias=True).encode()) <= RESULT_LIMIT_BYTES:
        assert json.loads(data)["message"] == message


def test_a_result_is_written_in_the_contracts_words(tmp_path):
    result = Result(type=ResultType.COMPLETED, name="Completed", reason=Reason.FLOW_COMPLETED)
    result.write(tmp_path / "log")
    assert json.loads((tmp_path / "log").read_text()) == {
        "flowRunId": None,
        "type": "COMPLETED",
        "name": "Completed",
        "message": "",
        "reason": "FlowCompleted",
        "prefectInformed": True,
    }
    assert result.exit_code == 0
    assert Result(type=ResultType.CRASHED, name="Crashed", reason=Reason.TERMINATED).exit_code == 1
