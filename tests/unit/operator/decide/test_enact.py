from dataclasses import replace

import pytest
from operator_testing.builders import (
    DEFAULTS,
    NOW,
    a_cluster_facts,
    a_job,
    a_pod,
    a_run,
    a_view,
    an_attempt,
    attempt_status,
    ended_pod,
    finished_status,
    message,
    rfc,
)

from flowrun_api.kinds.flowrun import PrefectFlowRun
from flowrun_operator.decide import decide_run
from flowrun_operator.decide.enact import remove
from flowrun_operator.decide.plan import Create, Delete, DeleteWorkers, Explain, LookUpFlowRun, Plan
from flowrun_operator.model import Problem


def of(plan: Plan, type_: type) -> list:
    return [a for a in plan.actions if isinstance(a, type_)]


def test_remove_leaves_finished_jobs_for_their_log():
    actions = remove(a_view(an_attempt(job=a_job(finished=True))), keep=None)
    assert actions == [DeleteWorkers("etl", 1), Delete("TaskCluster", "etl-1-default", "cluster-1")]


def test_remove_spares_the_attempt_that_is_kept():
    current = an_attempt(2)
    actions = remove(a_view(an_attempt(1), current), keep=current)
    assert actions == [DeleteWorkers("etl", 1), Delete("TaskCluster", "etl-1-default", "cluster-1")]


def test_remove_asks_for_nothing_that_is_going_already():
    assert remove(a_view(an_attempt(clusters=(a_cluster_facts(deleting=True),), worker_pods=0)), keep=None) == []


def test_a_running_attempt_removes_what_an_older_one_left():
    plan = decide_run(a_view(an_attempt(1), an_attempt(2)), NOW)
    assert DeleteWorkers("etl", 1) in plan.actions
    assert DeleteWorkers("etl", 2) not in plan.actions


@pytest.mark.parametrize(
    ("attempt", "uid"),
    [
        (an_attempt(driver=None), "job-1"),
        (an_attempt(driver=a_pod(running=False, phase="Pending")), "pod-1"),
        (an_attempt(job=a_job(age_s=2), driver=None), None),
        (an_attempt(driver=a_pod(running=False, phase="Pending", problem=Problem("Unschedulable", ""))), None),
        (an_attempt(), None),
    ],
    ids=["no pod", "silent pod", "too early", "a pod that says why", "running"],
)
def test_a_driver_that_is_stuck_without_a_word_is_asked_why(attempt, uid):
    assert of(decide_run(a_view(attempt), NOW), Explain) == ([Explain(uid)] if uid else [])


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({}, True),
        ({"flow_run": PrefectFlowRun(id="f")}, False),
        ({"defaults": replace(DEFAULTS, prefect_api_url=None)}, False),
    ],
    ids=["unknown", "known", "no Prefect API"],
)
def test_the_flow_run_is_looked_up_until_it_is_known(changes, asked):
    assert bool(of(decide_run(a_view(an_attempt(), **changes), NOW), LookUpFlowRun)) is asked


def test_the_runs_own_prefect_api_is_asked_rather_than_the_default():
    run = a_run({"prefect": {"apiUrl": "http://mine/api"}})
    (look,) = of(decide_run(a_view(an_attempt(), run=run), NOW), LookUpFlowRun)
    assert look.api_url == "http://mine/api"


def test_a_finished_run_keeps_its_driver_pod_and_loses_the_rest():
    plan = decide_run(a_view(an_attempt(driver=ended_pod(message()))), NOW)
    assert plan.actions == (DeleteWorkers("etl", 1), Delete("TaskCluster", "etl-1-default", "cluster-1"))


@pytest.mark.parametrize(
    ("job", "driver", "stopped"),
    [
        (a_job(finished=True), ended_pod(message()), False),
        (a_job(), ended_pod(message()), False),
        (a_job(), a_pod(), True),
        (a_job(), None, True),
        (a_job(deleting=True), a_pod(), False),
    ],
    ids=[
        "the log is kept",
        "the Job's end is not seen yet",
        "a driver that still runs",
        "a driver that may still come",
        "going already",
    ],
)
def test_settling_stops_a_driver_that_outlives_its_result(job, driver, stopped):
    view = a_view(an_attempt(job=job, driver=driver), run=a_run(status=finished_status(1, "Cancelled")))
    assert (Delete("Job", "etl-1", "job-1") in decide_run(view, NOW).actions) is stopped


def test_F25_a_run_that_is_being_deleted_gets_nothing_more():
    assert decide_run(a_view(run=a_run(deletionTimestamp=rfc(NOW))), NOW) == Plan()


def test_the_prefect_key_gets_a_secret_beside_the_job_without_the_key():
    plan = decide_run(a_view(defaults=replace(DEFAULTS, prefect_api_key_set=True)), NOW)
    ((secret,),) = ([a.manifest for a in stage] for stage in plan.first)
    assert [a.manifest["kind"] for a in of(plan, Create)] == ["Job"]
    assert (secret["kind"], secret["stringData"]) == ("Secret", {"api-key": ""})


GPU = {"name": "gpu", "engine": "Ray", "activation": "OnDemand"}
OWN = [
    Delete("Secret", "etl-1-ray-11111111"),
    Delete("ServiceAccount", "etl-1-driver-11111111"),
    Delete("Role", "etl-1-scale-11111111"),
    Delete("RoleBinding", "etl-1-scale-driver-11111111"),
]


def own_deletes(view) -> list[Delete]:
    return [a for a in of(decide_run(view, NOW), Delete) if not a.uid]


def test_what_an_attempt_has_for_itself_exists_before_its_job():
    # A pod whose account is missing is refused, and tried again only after a second.
    plan = decide_run(a_view(run=a_run({"clusters": [GPU]})), NOW)
    # The API server answers 404 to a binding whose Role does not exist yet.
    stages = [[a.manifest["kind"] for a in stage] for stage in plan.first]
    assert stages == [["Secret", "ServiceAccount", "Role"], ["RoleBinding"]]
    assert [a.manifest["kind"] for a in of(plan, Create)] == ["Job"]


@pytest.mark.parametrize(
    ("spec", "text", "exit_code"),
    [({}, message(), 0), ({}, "", 137), ({"retryPolicy": {"maxInfrastructureRetries": 1}}, "", 137)],
    ids=["completed", "killed", "killed, and tried again"],
)
def test_what_an_attempt_has_for_itself_goes_at_its_end(spec, text, exit_code):
    run = a_run({"clusters": [GPU], **spec})
    assert own_deletes(a_view(an_attempt(driver=ended_pod(text, exit_code)), run=run)) == OWN
    assert own_deletes(a_view(an_attempt(), run=run)) == []


def test_a_suspended_attempt_gives_up_what_it_has_once():
    run = a_run({"clusters": [GPU], "suspend": True})
    assert own_deletes(a_view(an_attempt(), run=run)) == OWN
    stopped = a_run({"clusters": [GPU], "suspend": True}, {"attempts": [attempt_status(1, reason="Stopped")]})
    assert own_deletes(a_view(an_attempt(), run=stopped)) == []
    assert own_deletes(a_view(run=run)) == []


def test_a_run_that_ends_before_its_first_attempt_exists_leaves_nothing_of_it():
    assert own_deletes(a_view(run=a_run({"clusters": [GPU], "cancel": True}))) == OWN


def test_a_finished_run_asks_for_no_more_deletes():
    run = a_run({"clusters": [GPU]}, finished_status())
    assert own_deletes(a_view(an_attempt(driver=ended_pod(message())), run=run)) == []


def test_F13_a_missing_right_to_grant_rights_is_told():
    problems = {"etl-1-scale-11111111": Problem("Forbidden", "attempting to grant extra privileges")}
    status = decide_run(a_view(run=a_run({"clusters": [GPU]}), problems=problems), NOW).status
    assert {c.reason for c in status.conditions if c.type in {"Succeeded", "DriverRunning"}} == {"Forbidden"}
    assert status.attempts == []


def test_no_clusters_are_created_for_a_job_that_is_going():
    for job in (a_job(deleting=True), a_job(finished=True)):
        assert of(decide_run(a_view(an_attempt(job=job, driver=None, clusters=())), NOW), Create) == []


def test_workers_that_have_ended_are_removed_without_grace():
    ended = an_attempt(live_workers=0)
    assert DeleteWorkers("etl", 1, grace_s=0) in remove(a_view(ended), keep=None)
    assert DeleteWorkers("etl", 1, grace_s=1) in remove(a_view(an_attempt()), keep=None)
