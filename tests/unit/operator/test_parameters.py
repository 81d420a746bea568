"""The flow's parameters: in a Secret of the attempt, mounted as a file, and nowhere else."""

import json

import pytest
from operator_testing.builders import DEFAULTS, NAMESPACE, RUN_UID, a_run

from flowrun_operator.build.pod import env
from flowrun_operator.children import belongings, driver_job, report_job

GIVEN = {"price": "$$5", "run": "$(FLOWRUN_NAME)", "nothing": None, "deep": [{"nothing": None}], "empty": {}}
PRIVATE = {"password": "hunter2-parameter"}


def spec(parameters) -> dict:
    return {"flow": {"entrypoint": "etl.py:etl", "parameters": parameters}}


def secrets(parameters, attempt: int = 1) -> list[dict]:
    run = a_run(spec(parameters))
    return [m for stage in belongings(run, attempt, DEFAULTS) for m in stage if m["kind"] == "Secret"]


def driver_pod(parameters) -> dict:
    return driver_job(a_run(spec(parameters)), 1, DEFAULTS)["spec"]["template"]["spec"]


def environment(pod: dict) -> dict:
    return {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}


def test_they_are_in_a_secret_of_the_attempt_that_nobody_can_change():
    (secret,) = secrets(GIVEN, attempt=3)
    assert json.loads(secret["stringData"]["parameters.json"]) == GIVEN
    assert secret["immutable"] is True
    metadata = secret["metadata"]
    assert (metadata["name"], metadata["namespace"]) == (f"etl-3-parameters-{RUN_UID[:8]}", NAMESPACE)
    assert metadata["ownerReferences"][0]["kind"] == "FlowRun"


def test_the_driver_alone_reads_them_as_a_file():
    pod = driver_pod(GIVEN)
    volume = next(v for v in pod["volumes"] if "secret" in v)
    mount = next(m for m in pod["containers"][0]["volumeMounts"] if m["name"] == volume["name"])
    (secret,) = secrets(GIVEN)
    assert volume["secret"] == {"secretName": secret["metadata"]["name"], "defaultMode": 0o440}
    assert mount["readOnly"] is True
    assert environment(pod)["FLOWRUN_PARAMETERS_FILE"] == f"{mount['mountPath']}/parameters.json"


def test_I5_neither_job_nor_report_tells_them():
    run = a_run(spec(PRIVATE))
    for manifest in (driver_job(run, 1, DEFAULTS), report_job(run, 1, DEFAULTS, "CRASHED", "gone")):
        assert "hunter2" not in repr(manifest)


def test_a_driver_that_does_not_know_of_the_file_fails_instead_of_using_the_defaults():
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(environment(driver_pod(GIVEN))["FLOWRUN_PARAMETERS"])


@pytest.mark.parametrize("none", [None, {}])
def test_without_parameters_there_is_no_secret(none):
    assert secrets(none) == []
    told = environment(driver_pod(none))
    assert told["FLOWRUN_PARAMETERS"] == "{}"
    assert "FLOWRUN_PARAMETERS_FILE" not in told


def test_kubernetes_leaves_a_value_of_ours_as_it_is():
    # It replaces $(NAME) by another variable, and $$ by $.
    assert env(A="$5 $(HOME) $$") == [{"name": "A", "value": "$$5 $$(HOME) $$$$"}]


def test_they_can_be_read_where_no_group_owns_the_file():
    # A platform that chooses the user, or a user id alone.
    run = a_run({**spec(GIVEN), "podSecurityContext": {"runAsUser": 1234}})
    pod = driver_job(run, 1, DEFAULTS)["spec"]["template"]["spec"]
    (volume,) = [v for v in pod["volumes"] if "secret" in v]
    assert volume["secret"]["defaultMode"] == 0o444
