import pytest
from operator_testing.builders import (
    NOW,
    a_job,
    a_run,
    a_view,
    an_attempt,
    ended_pod,
    finished_status,
    message,
)

from flowrun_operator.decide import decide_run
from flowrun_operator.decide.deletion import kept, kept_at_end
from flowrun_operator.decide.outcome import attempt_outcome
from flowrun_operator.decide.plan import Delete, DeleteWorkers

KEEP = {"deletionPolicy": {"type": "KeepOnFailure", "keepSeconds": 100}}
CRASHED, FAILED = ended_pod("", 137), ended_pod(message("FAILED", "FlowFailed"), 1)
WORKERS = DeleteWorkers("etl", 1)
CLUSTER = Delete("TaskCluster", "etl-1-default", "cluster-1")

# name, policy, driver's end, whether the pods stay
AT_END = [
    ("nothing stays by default", {}, CRASHED, False),
    ("a crashed run stays", KEEP, CRASHED, True),
    ("a failed flow stays", KEEP, FAILED, True),
    ("a completed one does not", KEEP, ended_pod(message()), False),
    ("a cancelled one does not", KEEP, ended_pod(message("CANCELLED", "FlowCancelled"), 1), False),
    ("Delete says so", {"deletionPolicy": {"type": "Delete"}}, CRASHED, False),
]


@pytest.mark.parametrize(("spec", "driver", "stays"), [r[1:] for r in AT_END], ids=[r[0] for r in AT_END])
def test_deletion_table(spec, driver, stays):
    view = a_view(an_attempt(driver=driver), run=a_run(spec))
    assert (kept_at_end(view, attempt_outcome(view.current)) is not None) is stays
    assert (WORKERS in decide_run(view, NOW).actions) is not stays
    assert (CLUSTER in decide_run(view, NOW).actions) is not stays


# name, policy, state, seconds since the end, whether the pods stay
LATER = [
    ("for as long as was asked for", KEEP, "Failed", 99, True),
    ("not longer", KEEP, "Failed", 100, False),
    ("an hour if no time was given", {"deletionPolicy": {"type": "KeepOnFailure"}}, "Failed", 3599, True),
    ("an hour at most then", {"deletionPolicy": {"type": "KeepOnFailure"}}, "Failed", 3600, False),
    ("not those of a cancelled run", KEEP, "Cancelled", 1, False),
    ("not those of a good one", KEEP, "Succeeded", 1, False),
]


@pytest.mark.parametrize(("spec", "state", "age_s", "stays"), [r[1:] for r in LATER], ids=[r[0] for r in LATER])
def test_how_long_the_pods_stay(spec, state, age_s, stays):
    attempt = an_attempt(job=a_job(finished=True), driver=CRASHED)
    view = a_view(attempt, run=a_run(spec, finished_status(age_s, state)))
    assert (kept(view, NOW) is not None) is stays
    assert (WORKERS in decide_run(view, NOW).actions) is not stays


def test_the_run_is_looked_at_when_the_time_is_over():
    view = a_view(an_attempt(), run=a_run(KEEP, finished_status(40, "Failed")))
    assert decide_run(view, NOW).requeue_after_s == 60


def test_only_the_last_attempt_is_kept():
    last = an_attempt(2, job=a_job(2, finished=True), driver=CRASHED)
    view = a_view(an_attempt(1, job=a_job(finished=True)), last, run=a_run(KEEP, finished_status(1, "Failed")))
    actions = decide_run(view, NOW).actions
    assert WORKERS in actions
    assert DeleteWorkers("etl", 2) not in actions


def test_a_successor_never_waits_for_what_is_kept():
    spec = {**KEEP, "retryPolicy": {"maxInfrastructureRetries": 1}}
    actions = decide_run(a_view(an_attempt(driver=CRASHED), run=a_run(spec)), NOW).actions
    assert WORKERS in actions
    assert CLUSTER in actions


def test_a_driver_to_be_stopped_goes_alone_since_its_job_owns_what_is_kept():
    view = a_view(an_attempt(), run=a_run(KEEP, finished_status(1, "Failed")))
    actions = decide_run(view, NOW).actions
    assert actions == (Delete("Pod", "etl-1-abcde", "pod-1"),)
