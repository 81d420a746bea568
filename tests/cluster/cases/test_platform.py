"""Platforms that have a say: sidecars, policies, quotas, limits, uids."""

import pytest
from case_tools import Case
from cluster_tools import Raw


def running(pods: list[Raw]) -> list[str]:
    """Return the containers that run, as POD/CONTAINER."""
    return [
        f"{pod['metadata']['name']}/{status['name']}"
        for pod in pods
        for kind in ("containerStatuses", "initContainerStatuses")
        for status in pod["status"].get(kind, [])
        if "running" in status["state"]
    ]


@pytest.mark.case("platform/sidecars")
def test_sidecars_end_with_the_run_and_the_drivers_log_stays(case: Case) -> None:
    ns = case.ns
    case.all_complete()
    ns.wait_for(lambda: not running(ns.pods("")), 30, "no container runs")
    ns.wait_for(lambda: not [j for j in ns.list("jobs") if j["status"].get("active")], 15, "no Job is active")
    for run in case.runs:
        assert "Completed" in ns.kubectl("logs", f"job/{run}-1", "-c", "flowrun")
        assert ns.condition(run, "Succeeded")["status"] == "True"


@pytest.mark.case("platform/labels")
def test_labels_that_a_policy_demands_are_on_every_child_and_without_them_the_run_waits(case: Case) -> None:
    ns = case.ns
    message = case.says("unlabelled", "DriverRunning", "PolicyDenied")
    assert "every object needs the label cost-center" in message
    assert "spec.podMetadata.labels" in message
    case.completes("r")
    (job,) = ns.list("jobs", "flowrun.dev/run=r")
    (driver,) = ns.pods("flowrun.dev/run=r,flowrun.dev/role=driver")
    for child in (job, driver):
        assert child["metadata"]["labels"]["app.kubernetes.io/name"] == "billing"
    assert driver["metadata"]["annotations"]["prometheus.io/scrape"] == "false"
    case.lift()
    case.completes("unlabelled")


@pytest.mark.case("platform/quota")
def test_the_end_of_a_killed_run_is_reported_within_a_quota_that_demands_cpu_limits(case: Case) -> None:
    ns = case.ns
    assert ns.wait_result("killed")["reason"] == "DriverKilled"
    ns.wait_for(lambda: ns.condition("killed", "PrefectInformed")["status"] == "True", 60, "Prefect informed")
    assert [run["state_type"] for run in ns.prefect_runs("killed")] == ["CRASHED"]


@pytest.mark.case("platform/limitrange_below_request")
def test_a_limitrange_below_the_request_is_said_and_when_it_goes_the_runs_go_on(case: Case) -> None:
    for run, type_ in (
        ("defaults", "DriverRunning"),
        ("workers-dask", "ClustersReady"),
        ("workers-ray", "ClustersReady"),
    ):
        message = case.says(run, type_, "LimitRangeViolation", 30)
        assert "must be less than or equal to cpu limit" in message
        assert "LimitRange of the namespace" in message
    case.ns.kubectl("delete", "limitrange", "small")
    case.all_complete(150)


@pytest.mark.case("platform/quantities")
def test_quantities_may_be_numbers_as_in_a_pod(case: Case) -> None:
    ns = case.ns
    container = ns.wait_for(lambda: ns.driver("r"), 30, "the driver")["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"cpu": "1500m", "memory": "2G"}
    case.all_complete()
    changed = {**ns.run("r"), "status": None}
    changed["spec"]["driver"]["resources"]["limits"]["cpu"] = 2.5
    assert "driver is immutable" in ns.apply(changed, dry_run=True)


@pytest.mark.case("platform/uid_of_the_platform")
def test_uid_and_groups_are_left_to_the_platform_where_it_chooses(case: Case) -> None:
    message = case.says("plain", "DriverRunning", "PodSecurityViolation")
    assert "restricted-v2" in message
    assert "defaults.podSecurityContext=null" in message
    case.completes("unsaid")
    case.completes("ranged")
