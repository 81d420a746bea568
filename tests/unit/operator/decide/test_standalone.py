import pytest
from operator_testing.builders import (
    DEFAULTS,
    NOW,
    a_cluster,
    a_cluster_view,
    a_pod,
    a_worker,
    ago,
    ended_pod,
    ended_worker,
)

from flowrun_operator.decide import decide_cluster
from flowrun_operator.decide.plan import Create, Delete, Explain, Scale
from flowrun_operator.model import Problem

IDLE = '{"reason": "Idle", "message": "no client for 60 s"}'
NAME = "etl-1-default"
RUNNING = a_pod(name=f"{NAME}-coordinator", uid="c", ready=True)


def coordinator_ended(text="", exit_code=1, ended_s_ago=60.0, **changes):
    given = {"name": f"{NAME}-coordinator", "uid": "c", "finished_at": ago(ended_s_ago), "reason": "Error"}
    return ended_pod(text, exit_code, **{**given, **changes})


def view(*workers, spec=None, status=None, **changes):
    cluster = a_cluster({"flowRun": None, **(spec or {})}, status, resourceVersion="7")
    return a_cluster_view(*workers, cluster=cluster, **{"coordinator": RUNNING, "defaults": DEFAULTS, **changes})


def decide(*workers, **changes):
    return decide_cluster(view(*workers, **changes), NOW)


def created(plan):
    return [f"{a.manifest['kind']} {a.manifest['metadata']['name']}" for a in plan.actions if isinstance(a, Create)]


def deleted(plan):
    return [a.name for a in plan.actions if isinstance(a, Delete)]


def ready(plan):
    (condition,) = plan.status.conditions
    return condition.status.value, condition.reason


def test_a_new_cluster_gets_service_coordinator_and_workers_in_one_go():
    plan = decide(service_exists=False, coordinator=None)
    assert created(plan) == [f"Service {NAME}", f"Pod {NAME}-coordinator", f"Pod {NAME}-w-0", f"Pod {NAME}-w-1"]
    assert ready(plan) == ("False", "CoordinatorStarting")


def test_a_ray_cluster_gets_a_token_of_its_own_unless_the_user_names_one():
    assert f"Secret {NAME}-ray-cluster-" in created(decide(spec={"engine": "Ray"}, coordinator=None))
    named = {"engine": "Ray", "tokenSecret": {"name": "mine"}}
    assert not [c for c in created(decide(spec=named, coordinator=None)) if "Secret" in c]


def test_a_running_cluster_is_left_alone():
    plan = decide(a_worker(0), a_worker(1))
    assert (plan.actions, plan.requeue_after_s, ready(plan)) == ((), None, ("True", "AllWorkersReady"))


def test_a_lost_worker_is_replaced_as_in_a_run():
    plan = decide(a_worker(0), ended_worker(1))
    assert created(plan) == [f"Pod {NAME}-w-2"]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [({"workers": {"replicas": 0, "image": "i"}}, "Parked"), ({"suspend": True}, "Suspended")],
)
def test_without_wanted_workers_no_pod_is_left(spec, reason):
    plan = decide(a_worker(0), a_worker(1), spec=spec)
    assert deleted(plan) == [f"{NAME}-coordinator", f"{NAME}-w-0", f"{NAME}-w-1"]
    assert ready(plan) == ("False", reason)
    assert created(plan) == []


def test_an_unused_cluster_is_parked_before_the_pod_goes_that_tells_of_it():
    plan = decide(a_worker(0), coordinator=coordinator_ended(IDLE, 0))
    assert plan.first == ((Scale(NAME, 0, "7"),),)
    assert deleted(plan) == [f"{NAME}-coordinator", f"{NAME}-w-0"]


def test_an_unused_cluster_is_deleted_where_its_user_says_so():
    plan = decide(a_worker(0), spec={"idleAction": "Delete"}, coordinator=coordinator_ended(IDLE, 0))
    assert plan.actions == (Delete("TaskCluster", NAME, "cluster-1"),)


@pytest.mark.parametrize(
    "end",
    [
        coordinator_ended("", 137),
        coordinator_ended("", 0),
        coordinator_ended(IDLE, 1),
        coordinator_ended('{"reason": "Other"}', 0),
        coordinator_ended("[]", 0),
        coordinator_ended("{", 0),
        coordinator_ended("", -1, finished_at=None),
    ],
    ids=["killed", "no word", "idle, but with an error", "another reason", "no object", "no JSON", "evicted"],
)
def test_a_lost_coordinator_goes_with_its_workers(end):
    plan = decide(a_worker(0), ended_worker(1, 0, 1), coordinator=end)
    assert deleted(plan) == [f"{NAME}-coordinator", f"{NAME}-w-0", f"{NAME}-w-1"]
    assert (plan.first, created(plan)) == ((), [])
    assert (plan.status.lost_coordinators, plan.final, ready(plan)) == (1, True, ("False", "CoordinatorLost"))


@pytest.mark.parametrize(("lost_before", "wait_s"), [(0, 1), (3, 1), (4, 3), (20, 59)])
def test_a_coordinator_that_keeps_dying_is_replaced_ever_more_slowly(lost_before, wait_s):
    plan = decide(a_worker(0), status={"lostCoordinators": lost_before}, coordinator=coordinator_ended(ended_s_ago=1))
    assert (plan.actions, plan.requeue_after_s) == ((), pytest.approx(wait_s))
    assert plan.status.lost_coordinators == lost_before


def test_nothing_is_created_while_the_coordinators_name_is_taken():
    plan = decide(a_worker(0), coordinator=a_pod(name=f"{NAME}-coordinator", deleting=True))
    assert (deleted(plan), created(plan)) == ([f"{NAME}-w-0"], [])


def test_a_coordinator_deleted_by_hand_gets_a_successor():
    assert created(decide(a_worker(0), a_worker(1), coordinator=None)) == [f"Pod {NAME}-coordinator"]


def test_what_keeps_the_coordinator_away_is_the_reason():
    pending = {"name": f"{NAME}-coordinator", "uid": "c", "running": False, "phase": "Pending"}
    stuck = a_pod(**pending, problem=Problem("Unschedulable", "0/1 nodes"))
    assert ready(decide(a_worker(0), a_worker(1), coordinator=stuck)) == ("False", "Unschedulable")
    refused = {f"{NAME}-coordinator": Problem("QuotaExceeded", "exceeded quota")}
    assert ready(decide(coordinator=None, problems=refused)) == ("False", "QuotaExceeded")
    silent = decide(a_worker(0), a_worker(1), coordinator=a_pod(**pending, created_at=ago(5)))
    assert silent.actions == (Explain("c"),)


@pytest.mark.parametrize(
    ("spec", "defaults", "reason"),
    [
        ({"workers": {"replicas": 1}}, {"image": ""}, "ImageMissing"),
        ({"engine": "Ray", "workers": {"resources": {"limits": {"memory": "64Mi"}}}}, {}, "InsufficientMemory"),
    ],
)
def test_an_invalid_cluster_gets_nothing_and_says_why(spec, defaults, reason):
    from dataclasses import replace

    plan = decide(spec=spec, coordinator=None, service_exists=False, defaults=replace(DEFAULTS, **defaults))
    assert (plan.actions, ready(plan)) == ((), ("False", reason))
