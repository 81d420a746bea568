from dataclasses import replace

import pytest
from operator_testing.builders import (
    DASK_CLUSTER,
    DEFAULTS,
    NOW,
    a_cluster_facts,
    a_job,
    a_pod,
    a_run,
    a_view,
    ago,
    an_attempt,
    attempt_status,
    ended_pod,
    message,
)

from flowrun_api.kinds.flowrun import FlowRunStatus, PrefectFlowRun
from flowrun_operator.decide import decide_run
from flowrun_operator.model import Problem

WITH_UI = replace(DEFAULTS, prefect_ui_url="http://ui/")
TYPES = ["Succeeded", "DriverRunning", "ClustersReady", "Suspended"]
TOLD = "PrefectInformed"


def status_of(*attempts, **changes) -> FlowRunStatus:
    return decide_run(a_view(*attempts, **changes), NOW).status


def words(status: FlowRunStatus) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status.value, c.reason) for c in status.conditions}


@pytest.mark.parametrize(
    "status",
    [
        status_of(),
        status_of(an_attempt()),
        status_of(run=a_run({"suspend": True})),
        status_of(an_attempt(driver=ended_pod(message()))),
    ],
    ids=["starting", "active", "held", "finished"],
)
def test_every_known_condition_is_set_from_the_first_status_on(status):
    told = [TOLD] if status.completion_time else []
    assert [c.type for c in status.conditions] == TYPES + told
    assert status.observed_generation == 1


def test_a_running_attempt():
    status = status_of(an_attempt())
    assert status.state == "Running"
    assert words(status) == {
        "Succeeded": ("Unknown", "Running"),
        "DriverRunning": ("True", "Running"),
        "ClustersReady": ("True", "AllWorkersReady"),
        "Suspended": ("False", "NotSuspended"),
    }


# name, attempt, state, reason of DriverRunning
DRIVER = [
    ("no pod yet", an_attempt(driver=None), "Starting", "Starting"),
    (
        "no pod, and the job controller's events say why (F16)",
        an_attempt(job=a_job(problem=Problem("PodSecurityViolation", "no")), driver=None),
        "Starting",
        "PodSecurityViolation",
    ),
    (
        "a pod that can't start (F18)",
        an_attempt(driver=a_pod(phase="Pending", running=False, problem=Problem("ImagePullBackOff", "no image"))),
        "Starting",
        "ImagePullBackOff",
    ),
    ("a pod on its way", an_attempt(driver=a_pod(phase="Pending", running=False)), "Starting", "Starting"),
]


@pytest.mark.parametrize(("attempt", "state", "reason"), [r[1:] for r in DRIVER], ids=[r[0] for r in DRIVER])
def test_driver_running_table(attempt, state, reason):
    status = status_of(attempt)
    assert (status.state, words(status)["DriverRunning"]) == (state, ("False", reason))
    assert words(status)["Succeeded"] == ("Unknown", reason)


# name, clusters of the attempt, status and reason of ClustersReady
CLUSTERS = [
    ("ready", (a_cluster_facts(),), ("True", "AllWorkersReady")),
    ("not created yet", (), ("False", "WorkersStarting")),
    ("some workers", (a_cluster_facts(ready_workers=1),), ("False", "WorkersStarting")),
    ("a problem", (a_cluster_facts(problem=Problem("Unschedulable", "0/1 nodes")),), ("False", "Unschedulable")),
]


@pytest.mark.parametrize(("clusters", "expected"), [r[1:] for r in CLUSTERS], ids=[r[0] for r in CLUSTERS])
def test_clusters_ready_table(clusters, expected):
    assert words(status_of(an_attempt(clusters=clusters)))["ClustersReady"] == expected


def test_a_run_without_clusters_is_ready():
    status = status_of(an_attempt(clusters=()), run=a_run({"clusters": []}))
    assert words(status)["ClustersReady"] == ("True", "NoClusters")


def test_clusters_are_listed_with_address_and_ready_workers():
    (cluster,) = status_of(an_attempt(clusters=(a_cluster_facts(ready_workers=1),))).clusters
    assert (cluster.name, cluster.workers, cluster.ready_workers) == ("default", 2, 1)
    assert cluster.address.startswith("tcp://etl-1-default")
    assert (cluster.dashboard_url, cluster.dashboard_ready) == (None, None)


@pytest.mark.parametrize("ready", [0, 1])
def test_a_dashboard_has_an_address_and_is_ready_once_its_coordinator_is_known_to_work(ready):
    run = a_run({"clusters": [{**DASK_CLUSTER, "dashboard": True}]})
    (cluster,) = status_of(an_attempt(clusters=(a_cluster_facts(ready_workers=ready),)), run=run).clusters
    assert cluster.dashboard_url == "http://etl-1-default.team.svc:8787/status"
    assert cluster.dashboard_ready is (ready == 1)
    ended = status_of(
        an_attempt(driver=ended_pod(message()), clusters=(a_cluster_facts(ready_workers=ready),)), run=run
    )
    assert ended.clusters[0].dashboard_url is None


# name, message of the driver, state, status and reason of Succeeded
RESULTS = [
    ("success", message(), "Succeeded", ("True", "FlowCompleted")),
    ("failure", message("FAILED", "FlowFailed"), "Failed", ("False", "FlowFailed")),
    ("cancelled in Prefect", message("CANCELLED", "FlowCancelled"), "Cancelled", ("False", "FlowCancelled")),
    ("crash", message("CRASHED", "CoordinatorLost"), "Failed", ("False", "CoordinatorLost")),
]


@pytest.mark.parametrize(("text", "state", "succeeded"), [r[1:] for r in RESULTS], ids=[r[0] for r in RESULTS])
def test_result_table(text, state, succeeded):
    status = status_of(an_attempt(driver=ended_pod(text)), defaults=WITH_UI)
    assert (status.state, words(status)["Succeeded"], status.completion_time) == (state, succeeded, NOW)
    assert status.attempts[0].reason == succeeded[1]
    assert status.clusters[0].ready_workers == 0
    assert status.flow_run.url == "http://ui/runs/flow-run/f-1"


def test_the_flow_runs_name_is_kept_from_the_look_up():
    found = PrefectFlowRun(id="f-1", name="etl", state="RUNNING")
    status = status_of(an_attempt(driver=ended_pod(message())), flow_run=found)
    assert (status.flow_run.name, status.flow_run.state) == ("etl", "Completed")


def test_a_crash_without_a_result_keeps_the_flow_run_that_was_found():
    found = PrefectFlowRun(id="f-1", name="etl", state="RUNNING")
    status = status_of(an_attempt(driver=ended_pod("", 137, "Error")), flow_run=found)
    assert (status.flow_run.id, status.flow_run.state) == ("f-1", "Crashed")


def test_F03_the_start_time_comes_from_the_job_and_stays():
    first = status_of(an_attempt())
    assert first.attempts[0].start_time == ago(10)
    again = decide_run(a_view(an_attempt(), run=a_run().model_copy(update={"status": first})), NOW)
    assert again.status == first


def test_the_runs_start_time_is_that_of_its_first_attempt():
    recorded = {"attempts": [attempt_status(1, reason="DriverKilled", age_s=500)], "startTime": "2026-11-22T11:00:00Z"}
    status = status_of(an_attempt(2), run=a_run(status=recorded))
    assert status.start_time.hour == 11
    assert [a.number for a in status.attempts] == [1, 2]


def test_F16_a_long_message_of_a_failure_fits_the_schema():
    long = message("FAILED", "FlowFailed", message="x" * 3000)
    status = status_of(an_attempt(driver=ended_pod(long)))
    assert len(status.attempts[0].message) <= 1024
    assert len(status.conditions[0].message) <= 1024


def test_an_older_attempt_that_ended_is_not_closed_twice():
    recorded = {"attempts": [attempt_status(1, reason="DriverKilled")]}
    status = status_of(an_attempt(1, driver=ended_pod("", 137, "Error")), run=a_run(status=recorded))
    assert status.attempts[0].completion_time == ago(1)
