"""The Job that tells Prefect the end of a run whose key the operator may not read."""

from dataclasses import replace

import pytest
from operator_testing.builders import DEFAULTS, NAMESPACE, RUN_UID, a_run

from flowrun_api.kinds.common import Resources
from flowrun_operator.children import report_job

SPEC = {
    "image": "flows:1",
    "imagePullSecrets": [{"name": "pull"}],
    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy"}],
    "prefect": {"apiUrl": "https://p/api", "apiKeySecret": {"name": "mine", "key": "k"}},
    "driver": {
        "nodeSelector": {"pool": "a"},
        "resources": {"requests": {"cpu": "8"}},
        "podTemplate": {"spec": {"containers": [{"name": "sidecar", "image": "x"}]}},
    },
}


def job_of(spec: dict | None = None) -> dict:
    return report_job(a_run(spec or SPEC), 2, DEFAULTS, "CANCELLED", "spec.cancel was set")


def test_the_job_is_told_what_to_say_and_has_the_runs_own_key_by_reference():
    job = job_of()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    env = {e["name"]: e.get("value", e.get("valueFrom")) for e in container["env"]}
    assert container["command"] == ["python", "-P", "-m", "prefect_flowrun.report_end"]
    assert container["image"] == "flows:1"
    assert env["FLOWRUN_IDEMPOTENCY_KEY"] == f"flowrun-{RUN_UID}"
    assert env["FLOWRUN_ATTEMPT"] == "2"
    assert (env["FLOWRUN_REPORT_TYPE"], env["FLOWRUN_REPORT_MESSAGE"]) == ("CANCELLED", "spec.cancel was set")
    assert env["PREFECT_API_URL"] == "https://p/api"
    assert env["PREFECT_API_KEY"] == {"secretKeyRef": {"name": "mine", "key": "k"}}
    assert env["HTTPS_PROXY"] == "http://proxy"


def test_the_job_is_the_runs_and_goes_with_it_and_by_itself():
    job = job_of()
    assert job["metadata"]["name"] == f"etl-report-{RUN_UID[:8]}"
    assert job["metadata"]["namespace"] == NAMESPACE
    assert job["metadata"]["ownerReferences"][0]["uid"] == RUN_UID
    assert job["metadata"]["labels"]["flowrun.dev/role"] == "report"
    assert job["spec"]["ttlSecondsAfterFinished"] == 60
    assert job["spec"]["backoffLimit"] > 10


def test_the_pod_fits_pod_security_restricted_and_has_no_sidecar():
    pod = job_of()["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert (pod["nodeSelector"], pod["imagePullSecrets"]) == ({"pool": "a"}, [{"name": "pull"}])
    (container,) = pod["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert container["name"] == "flowrun"


def test_the_pod_fits_a_quota_that_the_drivers_pod_fits_but_takes_no_device():
    limits = {"cpu": "2", "memory": "1Gi", "nvidia.com/gpu": 1}
    resources = {"requests": {"cpu": "150m", "memory": "384Mi"}, "limits": limits}
    (container,) = job_of({**SPEC, "driver": {"resources": resources}})["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {**resources, "limits": {"cpu": "2", "memory": "1Gi"}}


def test_a_driver_without_resources_of_its_own_has_the_defaults_and_so_has_the_report():
    defaults = replace(DEFAULTS, driver_resources=Resources(requests={"cpu": "150m"}, limits={"cpu": 1}))
    job = report_job(a_run({"prefect": SPEC["prefect"]}), 1, defaults, "CRASHED", "")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {"requests": {"cpu": "150m"}, "limits": {"cpu": 1}}


def test_job_and_pod_are_let_in_where_the_driver_is_by_its_labels_and_security_context():
    main = {
        "name": "flowrun",
        "command": ["opentelemetry-instrument", "python", "-m", "prefect_flowrun.driver"],
        "securityContext": {"readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    template = {
        "metadata": {"labels": {"owner": "ann", "flowrun.dev/role": "worker"}, "annotations": {"a": "b"}},
        "spec": {
            "securityContext": {"runAsUser": None},
            "priorityClassName": "batch",
            "containers": [main, {"name": "sidecar", "image": "x"}],
            "initContainers": [{"name": "proxy", "image": "x", "restartPolicy": "Always"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        },
    }
    job = job_of({**SPEC, "podMetadata": {"labels": {"cost-center": "1"}}, "driver": {"podTemplate": template}})
    made = job["spec"]["template"]
    assert job["metadata"]["labels"] == made["metadata"]["labels"]
    assert (
        made["metadata"]["labels"].items() >= {"owner": "ann", "cost-center": "1", "flowrun.dev/role": "report"}.items()
    )
    assert made["metadata"]["annotations"] == {"a": "b"}
    assert made["spec"]["securityContext"]["runAsUser"] is None
    assert made["spec"]["priorityClassName"] == "batch"
    assert "initContainers" not in made["spec"]
    (container,) = made["spec"]["containers"]
    assert container["command"] == ["python", "-P", "-m", "prefect_flowrun.report_end"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert [volume["name"] for volume in made["spec"]["volumes"]] == ["tmp"]
    assert [mount["name"] for mount in container["volumeMounts"]] == ["tmp"]


@pytest.mark.parametrize("template", [{"spec": {"containers": None}}, {"metadata": None}, {}])
def test_a_pod_template_that_is_half_empty_is_read(template):
    (container,) = job_of({**SPEC, "driver": {"podTemplate": template}})["spec"]["template"]["spec"]["containers"] or []
    assert container["name"] == "flowrun"


def test_the_operators_own_server_is_used_where_the_run_names_none():
    spec = {"prefect": {"apiKeySecret": {"name": "mine"}}}
    (container,) = job_of(spec)["spec"]["template"]["spec"]["containers"]
    assert {"name": "PREFECT_API_URL", "value": "http://prefect:4200/api"} in container["env"]
