from operator_testing.builders import NOW, a_condition, ago

from flowrun_api.kinds.common import Condition, ConditionStatus
from flowrun_operator.decide.conditions import MAX_MESSAGE, condition, merge

OLD = [Condition.model_validate(a_condition("Ready", "False", "Starting", age_s=60))]


def test_a_condition_that_keeps_its_status_keeps_its_transition_time():
    (merged,) = merge(OLD, [condition("Ready", False, "QuotaExceeded", "no room")], 2, NOW)
    assert (merged.last_transition_time, merged.reason, merged.observed_generation) == (ago(60), "QuotaExceeded", 2)


def test_a_condition_that_changes_its_status_gets_a_new_transition_time():
    (merged,) = merge(OLD, [condition("Ready", True, "AllWorkersReady")], 1, NOW)
    assert merged.last_transition_time == NOW


def test_a_condition_that_is_new_starts_now():
    assert merge([], [condition("Ready", None, "Starting")], 1, NOW)[0].last_transition_time == NOW


def test_none_means_unknown():
    assert condition("Succeeded", None, "Running")[1] is ConditionStatus.UNKNOWN


def test_messages_are_kept_short():
    assert len(condition("Ready", False, "Reason", "x" * 5000)[3]) == MAX_MESSAGE


def test_F29_a_condition_that_is_not_ours_stays_as_it_is():
    foreign = Condition.model_validate(a_condition("Admitted", "True", "QuotaReserved", age_s=60))
    merged = merge([foreign, *OLD], [condition("Ready", True, "AllWorkersReady")], 2, NOW)
    assert [c.type for c in merged] == ["Ready", "Admitted"]
    assert merged[1] == foreign


def test_a_condition_of_ours_that_is_not_told_any_more_goes():
    assert merge(OLD, [], 2, NOW) == []
