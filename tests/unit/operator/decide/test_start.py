from operator_testing.builders import DASK_CLUSTER, NOW, a_pod, a_run, a_view, an_attempt

from flowrun_api.kinds.flowrun import PrefectFlowRun
from flowrun_operator.decide import decide_run
from flowrun_operator.decide.plan import Continue, Create, StartAttempt
from flowrun_operator.decide.start import start
from flowrun_operator.model import Problem

FOUND = PrefectFlowRun(id="f-1")


def test_a_run_without_an_attempt_gets_its_first():
    assert start(a_view(), NOW) == StartAttempt(1)


def test_a_running_attempt_with_its_flow_run_known_waits_for_events():
    assert start(a_view(an_attempt(), flow_run=FOUND), NOW) == Continue(None)


def test_a_driver_that_does_not_run_yet_is_looked_at_again():
    assert start(a_view(an_attempt(driver=None), flow_run=FOUND), NOW).check_after_s == 2.5
    pending = a_pod(phase="Pending", running=False)
    assert start(a_view(an_attempt(driver=pending), flow_run=FOUND), NOW).check_after_s == 2.5


def test_a_flow_run_that_is_not_known_yet_is_looked_for_again():
    assert start(a_view(an_attempt()), NOW).check_after_s == 2.5


def test_the_first_pass_creates_the_job_alone():
    plan = decide_run(a_view(), NOW)
    assert [(a.manifest["kind"], a.manifest["metadata"]["name"]) for a in plan.actions] == [("Job", "etl-1")]
    assert plan.status.state == "Starting"


def test_the_next_pass_creates_one_task_cluster_for_each_cluster():
    clusters = [DASK_CLUSTER, {**DASK_CLUSTER, "name": "wide"}]
    view = a_view(an_attempt(driver=None, clusters=()), run=a_run({"clusters": clusters}))
    created = [a for a in decide_run(view, NOW).actions if isinstance(a, Create)]
    assert [a.manifest["metadata"]["name"] for a in created] == ["etl-1-default", "etl-1-wide"]
    assert {a.owner_uid for a in created} == {"job-1"}
    assert [a.manifest["spec"]["port"] for a in created] == [8786, 8796]


def test_F16_a_refused_job_is_no_attempt_and_the_status_says_why():
    problem = Problem("QuotaExceeded", "exceeded quota: jobs")
    plan = decide_run(a_view(problems={"etl-1": problem}), NOW)
    assert [a.manifest["kind"] for a in plan.actions] == ["Job"]
    assert plan.status.attempts == []
    reasons = {c.type: c.reason for c in plan.status.conditions}
    assert (reasons["Succeeded"], reasons["DriverRunning"]) == ("QuotaExceeded", "QuotaExceeded")


def test_F15_a_refused_task_cluster_is_said_in_the_runs_status():
    problem = Problem("NameConflict", "TaskCluster etl-1-default exists and is not this run's")
    plan = decide_run(a_view(an_attempt(clusters=()), problems={"etl-1-default": problem}), NOW)
    ready = next(c for c in plan.status.conditions if c.type == "ClustersReady")
    assert ready.reason == "NameConflict"
