from datetime import datetime, timedelta, timezone

import pytest
from operator_testing.builders import a_run, raw_run
from pydantic import ValidationError

from flowrun_api.kinds.common import Condition, Resources
from flowrun_api.kinds.flowrun import FailureClass, FlowRun


def test_times_are_written_as_kubernetes_writes_them():
    berlin = datetime(2026, 11, 22, 13, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    condition = Condition(type="Ready", status="True", reason="Ok", last_transition_time=berlin)
    assert condition.to_api()["lastTransitionTime"] == "2026-11-22T12:00:00Z"


def test_unset_fields_are_not_written():
    assert "completionTime" not in a_run().status.to_api()


def test_fields_of_a_later_release_are_ignored():
    assert a_run({"novelty": 1}).spec.flow.entrypoint == "etl.py:etl"


def test_F29_a_class_of_failures_of_a_later_release_is_no_class_to_this_one():
    status = {"attempts": [{"number": 1, "class": "Later"}, {"number": 2, "class": "Flow"}]}
    run = FlowRun.model_validate({**raw_run(), "status": status})
    assert [attempt.failure_class for attempt in run.status.attempts] == [None, FailureClass.FLOW]


@pytest.mark.parametrize("entrypoint", ["etl.py:etl", "flows/etl.py:etl", "pkg.mod.func", "pkg.mod:func"])
def test_entrypoints_that_are_understood(entrypoint):
    assert a_run({"flow": {"entrypoint": entrypoint}}).spec.flow.entrypoint == entrypoint


@pytest.mark.parametrize("entrypoint", ["etl", "etl.py:", "a b.py:f", "etl.py:f()", "x; rm -rf /.a b"])
def test_entrypoints_that_are_refused(entrypoint):
    with pytest.raises(ValidationError):
        a_run({"flow": {"entrypoint": entrypoint}})


def test_I5_an_invalid_object_is_refused_without_telling_its_contents():
    secret = raw_run(spec={"env": [{"name": "TOKEN", "value": "hunter2"}], "image": ["hunter2"]})
    with pytest.raises(ValidationError) as caught:
        FlowRun.model_validate(secret)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (1, 1),
        ("500m", "500m"),
        (0.5, "0.5"),
        (0.1, "0.1"),
        (1.0, "1"),
        (5.36870912e8, "536870912"),
        (1e-3, "0.001"),
        (2**40 + 0.5, "1099511627776.5"),
    ],
)
def test_a_quantity_may_be_a_number_with_a_fraction_as_in_a_pod(given, read):
    assert Resources.model_validate({"limits": {"cpu": given}}).limits == {"cpu": read}


@pytest.mark.parametrize("given", [True, None, [1], {"a": 1}])
def test_what_is_neither_a_number_nor_a_text_is_no_quantity(given):
    with pytest.raises(ValidationError, match=r"limits\.cpu"):
        Resources.model_validate({"limits": {"cpu": given}})
