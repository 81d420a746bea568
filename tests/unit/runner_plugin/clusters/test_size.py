"""How many workers: the decision, without any cluster."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrun_api.contract import ClusterContract
from prefect_flowrun.clusters.size import Bounds, BoundsError, Steady, bounds_of, size, wanted


def contract(**changes):
    values = {"name": "gpu", "engine": "Dask", "address": "tcp://127.0.0.1:1", "port": 1, "http_port": 2}
    return ClusterContract(**{**values, **changes})


@pytest.mark.parametrize(
    ("outstanding", "slots", "expected"),
    [(0, 1, 1), (1, 1, 1), (2, 1, 2), (7, 1, 5), (4, 4, 1), (5, 4, 2), (1000, 4, 5)],
)
def test_as_many_workers_are_wanted_as_run_all_tasks_at_once_within_the_bounds(outstanding, slots, expected):
    assert wanted(outstanding, slots, Bounds(1, 5)) == expected


def test_no_task_and_no_least_number_means_no_worker():
    assert wanted(0, 1, Bounds(0, 5)) == 0


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        pytest.param([(0, 1), (1, 4)], 4, id="up at once"),
        pytest.param([(0, 4), (1, 1)], 4, id="not down at once"),
        pytest.param([(0, 4), (5, 1), (10, 1)], 4, id="not down while the peak is in the window"),
        pytest.param([(0, 4), (5, 1), (10.1, 1)], 1, id="down when the peak is out of it"),
        pytest.param([(0, 4), (5, 3), (9, 1), (12, 1)], 3, id="in steps, as the peaks go"),
        pytest.param([(0, 4), (5, 1), (9, 4), (14, 1)], 4, id="a new peak begins a new window"),
    ],
)
def test_a_number_is_followed_up_at_once_and_down_after_ten_seconds(numbers, expected):
    steady = Steady(10)
    assert [steady.follow(now, number) for now, number in numbers][-1] == expected


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 50)), min_size=1), st.floats(0, 20))
def test_what_is_acted_on_is_the_most_of_the_window(steps, window):
    steady, now, seen = Steady(window), 0.0, []
    for pause, number in steps:
        now += pause
        seen.append((now, number))
        assert steady.follow(now, number) == max(each for at, each in seen if at >= now - window)


@given(st.integers(0, 10_000), st.integers(1, 64), st.integers(0, 100), st.integers(0, 100))
def test_no_number_is_ever_outside_the_bounds(outstanding, slots, fewest, more):
    bounds = Bounds(fewest, fewest + more)
    assert bounds.fewest <= wanted(outstanding, slots, bounds) <= bounds.most


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"workers": 4, "min_workers": 4, "max_workers": 4}, Bounds(4, 4), id="fixed"),
        pytest.param({"workers": 2, "min_workers": 1, "max_workers": 8}, Bounds(1, 8), id="elastic"),
        pytest.param({"workers": 3}, Bounds(3, 3), id="a contract that names no bounds"),
    ],
)
def test_the_bounds_are_the_flowruns(changes, expected):
    assert bounds_of(contract(**changes)) == expected


def test_a_runner_gets_what_it_asks_for_within_the_bounds_and_else_what_the_flowrun_says():
    elastic = contract(workers=2, min_workers=1, max_workers=8)
    assert [size(elastic, asked) for asked in (None, 1, 8)] == [2, 1, 8]


@pytest.mark.parametrize(
    ("asked", "bounds", "words"),
    [(9, (1, 8), "asks for 9 workers of cluster 'gpu'; the FlowRun allows 1 to 8"), (3, (2, 2), "allows exactly 2")],
)
def test_more_than_the_flowrun_allows_is_an_error_that_names_the_bounds(asked, bounds, words):
    fewest, most = bounds
    with pytest.raises(BoundsError, match=words):
        size(contract(workers=fewest, min_workers=fewest, max_workers=most), asked)
