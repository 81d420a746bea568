from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrun_api.kinds.common import Resources
from flowrun_operator.build.quantities import in_bytes, limit, request, total, value


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("250m", Fraction(1, 4)),
        ("1.5", Fraction(3, 2)),
        (".5", Fraction(1, 2)),
        (2, 2),
        ("2Gi", 2 * 2**30),
        ("1k", 1000),
        ("1e3", 1000),
        ("1E", 10**18),
        ("12E3", 12000),
        ("100n", Fraction(1, 10**7)),
        (None, None),
        ("", None),
        ("lots", None),
        ("Gi", None),
        ("1Mii", None),
    ],
)
def test_quantities_are_read(quantity, expected):
    assert value(quantity) == expected


def test_bytes_are_whole():
    assert in_bytes("1500m") == 1


def test_a_request_is_the_limit_where_only_that_is_set():
    resources = Resources(limits={"cpu": "2", "memory": "1Gi"}, requests={"cpu": 0})
    assert (request(resources, "cpu"), request(resources, "memory"), limit(resources, "cpu")) == (0, "1Gi", "2")
    assert (request(None, "cpu"), limit(None, "cpu")) == (None, None)


DRIVER = Resources(requests={"cpu": "150m", "memory": "384Mi"}, limits={"memory": "2Gi"})
DASK = Resources(requests={"cpu": "100m", "memory": "128Mi"})
RAY = Resources(requests={"cpu": 1, "memory": "640Mi"}, limits={"cpu": "4", "memory": "1Gi"})


@pytest.mark.parametrize(
    ("more", "requests", "limits"),
    [
        ([], {"cpu": "150m", "memory": "384Mi"}, {"memory": "2Gi"}),
        ([DASK], {"cpu": "250m", "memory": "512Mi"}, {"memory": "2Gi"}),
        ([DASK, RAY], {"cpu": "1250m", "memory": "1152Mi"}, {"memory": "3Gi"}),
    ],
)
def test_requests_add_up_and_no_limit_is_set_that_nobody_wanted(more, requests, limits):
    assert total(DRIVER, more) == Resources(requests=requests, limits=limits)


def test_without_a_base_what_is_added_counts():
    assert total(None, [DASK]) == DASK
    assert total(None, []) is None


def test_what_is_no_quantity_is_left_for_the_api_server():
    assert total(Resources(requests={"cpu": "lots"}), [DASK]).requests["cpu"] == "lots"


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_sum_is_exact(left, right):
    added = total(Resources(requests={"cpu": f"{left}m"}), [Resources(requests={"cpu": f"{right}m"})])
    assert value(added.requests["cpu"]) == Fraction(left + right, 1000)
