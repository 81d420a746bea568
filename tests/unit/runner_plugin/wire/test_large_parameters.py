"""Which large parameters are serialised again."""

from __future__ import annotations

import pickle
import random
import sys
import threading

import pytest

from prefect_flowrun.wire import large_parameters
from prefect_flowrun.wire.large_parameters import LargeValues

THRESHOLD = 1000
BIG = b"b" * 2000


class Dumps:
    """Pickles, and counts."""

    def __init__(self):
        self.count = 0

    def __call__(self, value):
        self.count += 1
        return pickle.dumps(value)


@pytest.fixture
def dumps():
    return Dumps()


@pytest.fixture
def values():
    return LargeValues()


def find(values, dumps, **parameters):
    return values.find(parameters, dumps, THRESHOLD)


def test_only_what_is_above_the_threshold_is_large(values, dumps):
    found = find(values, dumps, big=[0] * 1000, small=[1, 2], text="x" * 999, blob=BIG, number=10**9, nothing=None)
    assert set(found) == {"big", "blob"}
    assert pickle.loads(found["big"].data) == [0] * 1000
    # Scalars and short texts are not even looked at.
    assert dumps.count == 3


def test_what_means_something_to_one_task_only_is_left_in_the_call(values):
    assert values.find({"futures": [0] * 1000}, lambda value: None, THRESHOLD) == {}


def test_bytes_and_str_are_known_the_next_time(values, dumps):
    text = "x" * 2000
    found = find(values, dumps, data=BIG, text=text)
    assert values.known({"other_name": BIG, "text": text, "small": 1}) == {
        "other_name": found["data"],
        "text": found["text"],
    }


def test_a_list_is_serialised_each_time_since_it_may_have_changed(values, dumps):
    rows = [0] * 1000
    before = find(values, dumps, rows=rows)["rows"]
    assert values.known({"rows": rows}) == {}
    rows[0] = 1
    assert find(values, dumps, rows=rows)["rows"].digest != before.digest


def test_within_one_map_a_list_is_serialised_once(values, dumps):
    rows = [0] * 1000
    with values.unchanging():
        blob = find(values, dumps, rows=rows)["rows"]
        assert values.known({"rows": rows, "again": rows}) == {"rows": blob, "again": blob}
    assert values.known({"rows": rows}) == {}
    with values.unchanging():
        assert values.known({"rows": rows}) == {}


def test_a_map_that_fails_leaves_nothing_behind(values, dumps):
    rows = [0] * 1000
    with pytest.raises(KeyError), values.unchanging():
        find(values, dumps, rows=rows)
        raise KeyError
    assert values.known({"rows": rows}) == {}


def test_the_map_of_one_thread_is_not_that_of_another(values, dumps):
    rows = [0] * 1000
    seen = []
    with values.unchanging():
        find(values, dumps, rows=rows)
        thread = threading.Thread(target=lambda: seen.append(values.known({"rows": rows})))
        thread.start()
        thread.join()
    assert seen == [{}]


def test_a_value_that_is_gone_is_not_mistaken_for_one_that_got_its_address(values, dumps):
    for number in range(50):
        data = bytes([number]) * 2000
        known = values.known({"data": data})
        assert known == {}
        assert pickle.loads(find(values, dumps, data=data)["data"].data) == data
        del data


def test_few_values_are_kept_and_none_that_is_huge(values, dumps, monkeypatch):
    kept = [bytes([number]) * 2000 for number in range(large_parameters._KEPT + 1)]
    for data in kept:
        find(values, dumps, data=data)
    assert values.known({"first": kept[0]}) == {}
    assert set(values.known({"last": kept[-1]})) == {"last"}
    monkeypatch.setattr(large_parameters, "_KEPT_EACH_BYTES", 3000)
    huge = b"h" * 4000
    find(values, dumps, data=huge)
    assert values.known({"data": huge}) == {}


@pytest.fixture
def eager_threads():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_of_a_flow_may_look_at_the_same_time(values, eager_threads):
    """Each looks up what the others push out."""
    errors = []
    pool = [bytes([number]) * 2000 for number in range(large_parameters._KEPT + 1)]

    def look(seed):
        choose = random.Random(seed).choice
        try:
            for _ in range(60_000):
                data = choose(pool)
                if not values.known({"data": data}):
                    values.find({"data": data}, lambda value: b"x" * 2000, THRESHOLD)
        except KeyError as error:
            errors.append(error)

    threads = [threading.Thread(target=look, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
