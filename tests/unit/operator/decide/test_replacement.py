import pytest
from operator_testing.builders import NOW, a_cluster, a_cluster_view, a_worker, ended_worker

from flowrun_operator.decide.replacement import plan_workers


def indexes(workers):
    return [w.index for w in workers]


# name, workers, create, remove (indexes), look again, newly lost. Two workers are wanted.
TABLE = [
    ("a new cluster gets all workers", [], (0, 1), [], None, 0),
    ("a full cluster is left alone", [a_worker(0), a_worker(1)], (), [], None, 0),
    ("a pod that does not run yet counts", [a_worker(0, running=False, phase="Pending")], (1,), [], None, 0),
    ("a worker deleted by hand gets a successor (F14)", [a_worker(1)], (0,), [], None, 0),
    ("a pod being deleted keeps its name for itself", [a_worker(0, deleting=True), a_worker(1)], (2,), [], None, 0),
    (
        "a worker told to leave goes before a running one",
        [*map(a_worker, (0, 2)), ended_worker(1, 0, 1)],
        (),
        [1],
        None,
        0,
    ),
    ("a worker that crashed meanwhile was lost", [*map(a_worker, (0, 2)), ended_worker(1, 1, 1)], (), [1], None, 1),
    ("surplus workers go, the newest first", [a_worker(i) for i in range(4)], (), [2, 3], None, 0),
    ("a lost worker is replaced after a moment", [a_worker(0), ended_worker(1, 1, 0.5)], (), [], 1.5, 0),
    ("a worker lost for a while is replaced (F22)", [a_worker(0), ended_worker(1, 1, 3)], (2,), [1], None, 1),
    ("a worker that was told to leave is given longer", [a_worker(0), ended_worker(1, 0, 4)], (), [], 6.0, 0),
    ("one that left long ago is replaced", [a_worker(0), ended_worker(1, 0, 10)], (2,), [1], None, 1),
    ("both lost", [ended_worker(0), ended_worker(1)], (2, 3), [0, 1], None, 2),
    ("one due, one not", [ended_worker(0, 1, 60), ended_worker(1, 1, 1)], (2,), [0], 1.0, 1),
    (
        "an evicted pod has no end time and is replaced at once (F22)",
        [a_worker(0), ended_worker(1, -1, finished_at=None)],
        (2,),
        [1],
        None,
        1,
    ),
    ("an ended pod that goes away already", [a_worker(0), ended_worker(1, deleting=True)], (2,), [], None, 0),
]


@pytest.mark.parametrize(
    ("workers", "create", "remove", "check", "lost"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_replacement_table(workers, create, remove, check, lost):
    plan = plan_workers(a_cluster_view(*workers), NOW)
    assert (plan.create, indexes(plan.remove), plan.newly_lost) == (create, remove, lost)
    assert plan.check_after_s == pytest.approx(check)


def test_F20_no_worker_comes_back_after_the_coordinators_end():
    view = a_cluster_view(ended_worker(0), ended_worker(1), coordinator_ended=True)
    assert plan_workers(view, NOW).create == ()


@pytest.mark.parametrize("spec", [{"suspend": True}, {"workers": {"replicas": 0, "image": "i"}}])
def test_a_cluster_that_wants_no_worker_removes_them(spec):
    plan = plan_workers(a_cluster_view(a_worker(0), a_worker(1), cluster=a_cluster(spec)), NOW)
    assert (plan.create, indexes(plan.remove)) == ((), [0, 1])


@pytest.mark.parametrize(("lost_before", "wait_s"), [(0, 2), (3, 2), (4, 4), (5, 8), (20, 60)])
def test_workers_that_keep_dying_are_replaced_ever_more_slowly(lost_before, wait_s):
    cluster = a_cluster(status={"lostWorkers": lost_before})
    plan = plan_workers(a_cluster_view(a_worker(0), ended_worker(1, 1, 0), cluster=cluster), NOW)
    assert plan.check_after_s == pytest.approx(wait_s)
