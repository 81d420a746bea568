"""The Job that tells Prefect the end of a run whose key the operator may not read."""

from operator_testing.builders import DEFAULTS, NAMESPACE, RUN_UID, a_run

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


def test_the_pod_fits_pod_security_restricted_and_is_small():
    pod = job_of()["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert (pod["nodeSelector"], pod["imagePullSecrets"]) == ({"pool": "a"}, [{"name": "pull"}])
    (container,) = pod["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert container["resources"]["requests"]["cpu"] == "50m"


def test_the_operators_own_server_is_used_where_the_run_names_none():
    spec = {"prefect": {"apiKeySecret": {"name": "mine"}}}
    (container,) = job_of(spec)["spec"]["template"]["spec"]["containers"]
    assert {"name": "PREFECT_API_URL", "value": "http://prefect:4200/api"} in container["env"]
