import pytest
from operator_testing.builders import ago, rfc

from flowrun_operator.model import Problem
from flowrun_operator.observe.jobs import job_facts


def raw_job(*conditions: dict, **metadata) -> dict:
    given = {"name": "etl-1", "uid": "job-1", "creationTimestamp": rfc(ago(10)), **metadata}
    return {"kind": "Job", "metadata": given, "status": {"conditions": list(conditions)} if conditions else {}}


def cond(type_: str, status: str = "True", reason: str = "", message: str = "") -> dict:
    return {"type": type_, "status": status, "reason": reason, "message": message}


def test_a_new_job():
    facts = job_facts(raw_job())
    assert (facts.finished, facts.failure, facts.deleting, facts.created_at) == (False, None, False, ago(10))


@pytest.mark.parametrize("type_", ["Complete", "Failed"])
def test_a_job_ends_complete_or_failed(type_):
    assert job_facts(raw_job(cond(type_))).finished


def test_success_criteria_met_is_not_yet_complete():
    assert not job_facts(raw_job(cond("SuccessCriteriaMet"))).finished


def test_a_doomed_job_is_known_before_its_pods_are_gone():
    facts = job_facts(raw_job(cond("FailureTarget", reason="DeadlineExceeded", message="too long")))
    assert (facts.failure, facts.finished) == (Problem("DeadlineExceeded", "too long"), False)


def test_a_condition_that_is_false_counts_for_nothing():
    facts = job_facts(raw_job(cond("Failed", "False"), cond("FailureTarget", "False"), cond("Complete", "False")))
    assert (facts.failure, facts.finished) == (None, False)


def test_a_suspended_job_is_neither_finished_nor_failed():
    facts = job_facts(raw_job(cond("Suspended")))
    assert (facts.failure, facts.finished) == (None, False)


def test_events_explain_why_there_is_no_pod():
    assert job_facts(raw_job(), Problem("QuotaExceeded", "x")).problem == Problem("QuotaExceeded", "x")


def test_a_job_being_deleted():
    assert job_facts(raw_job(deletionTimestamp=rfc(ago(1)))).deleting
