import pytest
from operator_testing.builders import NOW, a_cluster, a_cluster_view, a_worker, ago, ended_worker, rfc

from flowrun_operator.decide import decide_cluster
from flowrun_operator.decide.plan import Create, Delete, Explain, Plan
from flowrun_operator.model import Problem


def created(plan: Plan) -> list[str]:
    return [f"{a.manifest['kind']} {a.manifest['metadata']['name']}" for a in plan.actions if isinstance(a, Create)]


def ready(plan: Plan):
    return plan.status.conditions[0]


def test_a_new_cluster_gets_its_service_and_workers_in_one_go():
    plan = decide_cluster(a_cluster_view(service_exists=False), NOW)
    assert created(plan) == ["Service etl-1-default", "Pod etl-1-default-w-0", "Pod etl-1-default-w-1"]
    assert {a.owner_uid for a in plan.actions} == {"cluster-1"}


def test_a_cluster_whose_coordinator_has_ended_gets_no_service():
    assert created(decide_cluster(a_cluster_view(service_exists=False, coordinator_ended=True), NOW)) == []


@pytest.mark.parametrize(
    "cluster",
    [a_cluster({"managedBy": "somebody.else/controller"}), a_cluster(deletionTimestamp=rfc(NOW))],
    ids=["managed by another controller", "being deleted"],
)
def test_a_cluster_that_is_not_ours_to_reconcile_is_left_alone(cluster):
    assert decide_cluster(a_cluster_view(cluster=cluster, service_exists=False), NOW) == Plan()


def test_the_status_counts_what_is_there():
    plan = decide_cluster(a_cluster_view(a_worker(0), a_worker(1, ready=False)), NOW)
    status = plan.status
    assert (status.replicas, status.ready_replicas) == (2, 1)
    assert status.address == "tcp://etl-1-default.team.svc:8786"
    assert (ready(plan).reason, ready(plan).message) == ("WorkersStarting", "1 of 2 workers ready")


def test_a_full_cluster_is_ready_and_wants_no_other_look():
    plan = decide_cluster(a_cluster_view(a_worker(0), a_worker(1)), NOW)
    assert (ready(plan).status, plan.requeue_after_s, plan.actions) == ("True", None, ())


def test_a_cluster_that_nobody_uses_is_ready_without_workers():
    plan = decide_cluster(a_cluster_view(cluster=a_cluster({"workers": {"replicas": 0, "image": "i"}})), NOW)
    assert (ready(plan).status, ready(plan).reason) == ("True", "ScaledToZero")


def test_a_rays_address_has_no_scheme():
    plan = decide_cluster(a_cluster_view(cluster=a_cluster({"engine": "Ray", "port": 6389})), NOW)
    assert plan.status.address == "etl-1-default.team.svc:6389"


def test_a_worker_whose_image_is_pulled_is_asked_again():
    pulling = Problem("Pulling", "Pulling image x", passing=True)
    worker = a_worker(0, running=False, ready=False, phase="Pending", problem=pulling)
    plan = decide_cluster(a_cluster_view(worker, a_worker(1)), NOW)
    assert ready(plan).reason == "Pulling"
    assert (plan.actions, plan.requeue_after_s) == ((Explain("w-0"),), 2.0)


def test_the_scale_selector_finds_exactly_the_workers():
    selector = decide_cluster(a_cluster_view(), NOW).status.selector
    assert "flowrun.dev/role=worker" in selector
    assert "flowrun.dev/cluster=default" in selector
    assert "flowrun.dev/attempt=1" in selector


def test_F18_a_worker_that_cannot_start_is_the_reason():
    stuck = a_worker(0, running=False, ready=False, phase="Pending", problem=Problem("ImagePullBackOff", "no image"))
    plan = decide_cluster(a_cluster_view(stuck, a_worker(1)), NOW)
    assert (ready(plan).status, ready(plan).reason) == ("False", "ImagePullBackOff")


def test_F16_a_refused_worker_is_the_reason():
    problems = {"etl-1-default-w-1": Problem("QuotaExceeded", "exceeded quota")}
    plan = decide_cluster(a_cluster_view(a_worker(0), problems=problems), NOW)
    assert ready(plan).reason == "QuotaExceeded"
    assert created(plan) == ["Pod etl-1-default-w-1"]


def test_a_silent_worker_is_asked_why_after_a_moment():
    silent = {"running": False, "ready": False, "phase": "Pending"}
    young = decide_cluster(a_cluster_view(a_worker(0, created_at=ago(1), **silent), a_worker(1)), NOW)
    assert (young.actions, young.requeue_after_s) == ((), 2.0)
    old = decide_cluster(a_cluster_view(a_worker(0, created_at=ago(4), **silent), a_worker(1)), NOW)
    assert old.actions == (Explain("w-0"),)


def test_one_silent_worker_is_asked_for_all():
    silent = {"running": False, "ready": False, "phase": "Pending"}
    plan = decide_cluster(a_cluster_view(a_worker(0, **silent), a_worker(1, **silent)), NOW)
    assert plan.actions == (Explain("w-0"),)


def test_surplus_workers_are_deleted_by_uid():
    plan = decide_cluster(a_cluster_view(*(a_worker(i) for i in range(3))), NOW)
    assert plan.actions == (Delete("Pod", "etl-1-default-w-2", "w-2", grace_s=1),)


def test_lost_workers_are_counted_in_the_status_that_goes_out_at_once():
    # A delayed status would be computed anew when the lost pod is gone: the loss would never be counted.
    plan = decide_cluster(a_cluster_view(a_worker(0), ended_worker(1)), NOW)
    assert (plan.status.lost_workers, plan.final) == (1, True)


def test_workers_that_keep_crashing_are_the_reason():
    cluster = a_cluster(status={"lostWorkers": 5})
    plan = decide_cluster(a_cluster_view(a_worker(0), ended_worker(1, 1, 0), cluster=cluster), NOW)
    assert ready(plan).reason == "WorkersCrashing"
    assert "exit code 1" in ready(plan).message


def test_a_memory_quantity_that_nobody_understands_does_not_stop_the_decision():
    limits = {"replicas": 1, "image": "i", "resources": {"limits": {"memory": "lotsGi"}}}
    assert created(decide_cluster(a_cluster_view(cluster=a_cluster({"workers": limits})), NOW))
