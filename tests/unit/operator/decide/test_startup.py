import pytest
from operator_testing.builders import NOW, a_job, a_pod, a_run, a_view, an_attempt

from flowrun_operator.decide import decide_run
from flowrun_operator.decide.plan import Delete
from flowrun_operator.decide.startup import startup
from flowrun_operator.model import Problem

LIMIT = {"startupDeadlineSeconds": 60}
PULL = Problem("ImagePullBackOff", "no such image")
QUOTA = Problem("QuotaExceeded", "exceeded quota")


def waiting(problem: Problem | None = None):
    return a_pod(phase="Pending", running=False, problem=problem)


TABLE = [
    ("no attempt", None, None),
    ("a driver that runs", an_attempt(job=a_job(age_s=600)), None),
    ("still in time", an_attempt(job=a_job(age_s=59), driver=waiting(PULL)), None),
    ("too late for no known reason", an_attempt(job=a_job(age_s=60), driver=waiting()), "within 60 s"),
    ("an image that can't be pulled (F18)", an_attempt(job=a_job(age_s=61), driver=waiting(PULL)), "no such image"),
    ("a pod that a quota refuses (F16)", an_attempt(job=a_job(age_s=61, problem=QUOTA), driver=None), "QuotaExceeded"),
    ("a Job that was deleted", an_attempt(job=None, driver=None), None),
    ("a Job without a creation time", an_attempt(job=a_job(created_at=None), driver=None), None),
]


@pytest.mark.parametrize(("attempt", "said"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE])
def test_startup_table(attempt, said):
    verdict = startup(a_view(*([attempt] if attempt else []), run=a_run(LIMIT)), NOW)
    if said is None:
        assert verdict is None
    else:
        assert verdict.outcome.reason == "StartupDeadlineExceeded"
        assert said in verdict.outcome.message


def test_F19_a_driver_that_never_starts_frees_everything():
    run = a_run({**LIMIT, "retryPolicy": {"maxInfrastructureRetries": 5}})
    attempt = an_attempt(job=a_job(age_s=61), driver=waiting(PULL))
    first = decide_run(a_view(attempt, run=run), NOW)
    assert first.status.conditions[0].reason == "StartupDeadlineExceeded"
    second = decide_run(a_view(attempt, run=run.model_copy(update={"status": first.status})), NOW)
    kinds = {a.kind for a in (*first.actions, *second.actions) if isinstance(a, Delete)}
    assert kinds == {"Job", "TaskCluster"}


def test_F01_the_job_goes_only_after_its_result_is_written():
    # Otherwise a crash in between would leave "the Job was deleted", which may be retried.
    attempt = an_attempt(job=a_job(age_s=61), driver=waiting(PULL))
    plan = decide_run(a_view(attempt, run=a_run(LIMIT)), NOW)
    assert not [a for a in plan.actions if isinstance(a, Delete) and a.kind == "Job"]
    assert plan.final
    assert plan.requeue_after_s == 0
