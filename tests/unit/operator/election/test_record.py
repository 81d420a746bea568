from datetime import UTC, datetime

from flowrun_operator.election.record import Record, lease_of, record_of

NOW = datetime(2026, 11, 24, 8, 15, tzinfo=UTC)
TIME = "2026-11-24T08:15:00.000000Z"
EARLIER = "2026-11-24T08:00:00.000000Z"


def test_a_record_survives_writing_and_reading():
    record = Record("me", 15, EARLIER, TIME, 3)
    lease = lease_of(record, "flowrun-system", "flowrun-operator", None)
    assert record_of(lease) == record
    assert lease["metadata"] == {"name": "flowrun-operator", "namespace": "flowrun-system"}
    assert isinstance(lease["spec"]["leaseDurationSeconds"], int)


def test_a_lease_that_was_read_is_written_with_its_version_and_labels():
    current = {"metadata": {"name": "n", "namespace": "ns", "resourceVersion": "7", "labels": {"a": "b"}}}
    assert lease_of(Record("me", 15), "ns", "n", current)["metadata"] == current["metadata"]


def test_an_empty_lease_is_held_by_nobody():
    assert record_of({"metadata": {}}) == Record()


def test_a_renewal_keeps_when_it_was_acquired():
    renewed = Record("me", 15, EARLIER, EARLIER, 3).taken_by("me", 20, NOW)
    assert renewed == Record("me", 20, EARLIER, TIME, 3)


def test_another_holder_is_a_transition():
    assert Record("other", 15, EARLIER, EARLIER, 3).taken_by("me", 15, NOW) == Record("me", 15, TIME, TIME, 4)


def test_a_lease_that_is_given_up_names_no_holder_and_a_valid_duration():
    lease = lease_of(Record("me", 15, EARLIER, EARLIER, 3).given_up(NOW), "ns", "n", None)
    assert "holderIdentity" not in lease["spec"]
    assert lease["spec"]["leaseDurationSeconds"] == 1
