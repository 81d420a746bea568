import pytest
from operator_testing.builders import NOW, a_run, a_view, an_attempt, finished_status

from flowrun_operator.decide import decide_run
from flowrun_operator.decide.expiry import expiry
from flowrun_operator.decide.plan import Delete, DeleteWorkers, Expire, Settle

TABLE = [
    ("an active run has no opinion on expiry", {}, None, None),
    ("a result is kept until its TTL is over", {"ttlSecondsAfterFinished": 100}, finished_status(60), Settle(40)),
    ("a TTL that is over ends the record", {"ttlSecondsAfterFinished": 60}, finished_status(60), Expire()),
    ("a TTL of zero ends the record at once", {"ttlSecondsAfterFinished": 0}, finished_status(0), Expire()),
    ("an overdue TTL is applied (F04)", {"ttlSecondsAfterFinished": 60}, finished_status(86_400), Expire()),
    ("a failed run expires like any other", {"ttlSecondsAfterFinished": 5}, finished_status(9, "Failed"), Expire()),
]


@pytest.mark.parametrize(("spec", "status", "verdict"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_expiry_table(spec, status, verdict):
    assert expiry(a_view(run=a_run(spec, status)), NOW) == verdict


def test_a_result_without_a_completion_time_is_kept_and_looked_at_again():
    status = finished_status()
    del status["completionTime"]
    assert expiry(a_view(run=a_run(status=status)), NOW) == Settle(3600)


def test_a_settled_run_loses_its_children_on_every_pass():
    plan = decide_run(a_view(an_attempt(), run=a_run(status=finished_status())), NOW)
    assert DeleteWorkers("etl", 1) in plan.actions
    assert Delete("TaskCluster", "etl-1-default", "cluster-1") in plan.actions
    assert plan.status is None, "nothing is written again"


def test_expire_deletes_only_the_object_that_was_meant():
    plan = decide_run(a_view(run=a_run({"ttlSecondsAfterFinished": 1}, finished_status())), NOW)
    assert plan.actions == (Delete("FlowRun", "etl", "11111111-aaaa"),)
