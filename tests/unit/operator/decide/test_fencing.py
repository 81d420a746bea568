from dataclasses import replace

import pytest
from operator_testing.builders import (
    NOW,
    a_job,
    a_pod,
    a_run,
    a_view,
    an_attempt,
    attempt_status,
    ended_pod,
    lost_pod,
    message,
)

from flowrun_operator.decide import decide_run, verdict_on
from flowrun_operator.decide.fencing import fenced
from flowrun_operator.decide.plan import Await, CloseAttempt, Create, Finish, Hold, StartAttempt
from flowrun_operator.model import Problem

START = StartAttempt(2)
GONE = Problem("DeletionByPodGC", "PodGC: node not found")

# name, driver pods of the run, reason for which the next attempt waits
TABLE = [
    ("no driver was there", (), None),
    ("its container has ended", (ended_pod("", 137),), None),
    ("its pod is in a final phase", (a_pod(phase="Failed", running=False),), None),
    ("it runs", (a_pod(),), "Stopping"),
    ("it is being stopped", (a_pod(deleting=True),), "Stopping"),
    ("it has not started yet", (a_pod(phase="Pending", running=False, deleting=True),), "Stopping"),
    ("its node does not answer", (lost_pod(),), "NodeUnreachable"),
    ("Kubernetes has given it up: it may run on all the same", (lost_pod(deleting=True),), "NodeUnreachable"),
    ("its node was deleted: somebody knows that it is off", (ended_pod("", -1, "Failed", disruption=GONE),), None),
    ("one of several", (ended_pod("", 0), lost_pod()), "NodeUnreachable"),
]


@pytest.mark.parametrize(("drivers", "reason"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE])
def test_fencing_table(drivers, reason):
    verdict = fenced(a_view(drivers=drivers), START)
    assert (verdict.reason if isinstance(verdict, Await) else None) == reason
    assert verdict == START or verdict.number == 2


def lost_run(**changes):
    """Return a run with retries whose driver's node is lost."""
    run = a_run({"retryPolicy": {"maxInfrastructureRetries": 1}}, {"attempts": [attempt_status(1)]})
    driver = lost_pod(deleting=True, disruption=Problem("DeletionByTaintManager", "deleting"))
    return a_view(an_attempt(driver=driver), run=run, drivers=(driver,), **changes)


def after(view, plan):
    return replace(view, run=view.run.model_copy(update={"status": plan.status}))


def test_F21_a_driver_on_a_lost_node_is_not_alive_but_its_attempt_goes_on():
    status = decide_run(a_view(an_attempt(driver=lost_pod())), NOW).status
    conditions = {c.type: c for c in status.conditions}
    assert (conditions["DriverRunning"].status, conditions["DriverRunning"].reason) == ("False", "NodeUnreachable")
    assert "pod etl-1-abcde on node n1" in conditions["DriverRunning"].message
    assert status.completion_time is None


def test_F21_no_second_driver_starts_before_the_lost_one_has_ended_for_certain():
    view = lost_run()
    assert isinstance(verdict_on(view, NOW), CloseAttempt)
    closed = replace(after(view, decide_run(view, NOW)), told="1-AwaitingRetry")
    plan = decide_run(closed, NOW)
    assert not [a for a in plan.actions if isinstance(a, Create)]
    conditions = {c.type: c for c in plan.status.conditions}
    assert conditions["DriverRunning"].reason == "NodeUnreachable"
    assert "attempt 2 waits until the node is back or the pod gone" in conditions["DriverRunning"].message
    assert (plan.status.attempts[0].reason, plan.status.attempts[0].failure_class) == ("NodeLost", "Infrastructure")
    # The pod is gone: its node is back, or somebody has said that it is off.
    free = replace(closed, attempts=(an_attempt(job=a_job(finished=True), driver=None),), drivers=())
    assert [a.manifest["metadata"]["name"] for a in decide_run(free, NOW).actions if isinstance(a, Create)] == ["etl-2"]


def test_F21_a_node_that_comes_back_does_not_bring_the_closed_attempt_back():
    closed = after(lost_run(), decide_run(lost_run(), NOW))
    back = a_pod(deleting=True)
    view = replace(closed, attempts=(an_attempt(driver=back),), drivers=(back,))
    assert isinstance(verdict_on(view, NOW), Await)


def test_F21_a_flow_that_completed_behind_the_partition_is_not_run_again():
    closed = after(lost_run(), decide_run(lost_run(), NOW))
    done = ended_pod(message())
    view = replace(closed, attempts=(an_attempt(driver=done),), drivers=(done,))
    assert verdict_on(view, NOW).outcome.reason == "FlowCompleted"


def test_F21_without_a_retry_left_the_run_ends_when_kubernetes_gives_the_pod_up():
    driver = lost_pod(deleting=True)
    view = a_view(an_attempt(driver=driver), drivers=(driver,))
    verdict = verdict_on(view, NOW)
    assert (type(verdict), verdict.outcome.reason) == (Finish, "NodeLost")


def test_F23_a_resumed_run_waits_for_a_driver_whose_job_is_gone_already():
    # The Job goes at once when it is deleted; its pod has a grace period.
    run = a_run(status={"attempts": [attempt_status(1, reason="Stopped")]})
    view = a_view(run=run, drivers=(a_pod(deleting=True),))
    assert isinstance(verdict_on(view, NOW), Hold)
    assert isinstance(verdict_on(replace(view, drivers=()), NOW), StartAttempt)
