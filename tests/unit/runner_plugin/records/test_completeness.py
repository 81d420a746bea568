from uuid import uuid4

from prefect_flowrun.records.completeness import PATIENCE_S, WAIT_S, unrecorded, wait_for


class Clock:
    """Time that passes by sleeping."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def _ids(count):
    return [uuid4() for _ in range(count)]


def test_only_groups_in_which_something_is_missing_are_looked_at_further():
    ids = _ids(1200)
    missing = {ids[700]}
    groups = unrecorded(ids, lambda group: sum(each not in missing for each in group))
    assert groups == [ids[500:1000]]


def test_a_server_that_gets_on_is_waited_for():
    ids, clock = _ids(100), Clock()
    left = wait_for([ids], lambda group: min(len(group), int(clock.now * 4)), clock, clock.sleep)
    assert left == []
    assert clock.now > PATIENCE_S


def test_a_server_that_gets_nowhere_is_not_waited_for_long():
    ids, clock = _ids(100), Clock()
    assert wait_for([ids], lambda group: 40, clock, clock.sleep) == [ids]
    assert PATIENCE_S <= clock.now <= PATIENCE_S + 1


def test_nobody_waits_for_ever():
    ids, clock = _ids(10_000), Clock()
    assert wait_for([ids], lambda group: int(clock.now * 10), clock, clock.sleep) == [ids]
    assert WAIT_S <= clock.now <= WAIT_S + 1
