import json

import pytest

from flowrun_operator.kube.errors import ApiError, asked_s, error_from


def test_a_status_of_the_api_server_is_read():
    body = {"kind": "Status", "reason": "AlreadyExists", "message": "jobs.batch already exists", "code": 409}
    error = error_from(409, json.dumps(body).encode())
    assert (error.status, error.reason, error.message) == (409, "AlreadyExists", "jobs.batch already exists")


@pytest.mark.parametrize("data", [b"<html>bad gateway</html>", b"", b"[1]", b"null", b"\xff\xfe"])
def test_an_answer_of_something_else_is_an_error_too(data):
    assert error_from(502, data).status == 502


WAITS = [("1", 1), ("120", 120), ("", 0), ("-1", 0), ("1.5", 0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0)]


@pytest.mark.parametrize(("header", "seconds"), WAITS)
def test_F11_the_wait_that_the_server_asks_for_is_part_of_the_error(header, seconds):
    for data in (b'{"reason": "TooManyRequests"}', b"too many requests"):
        assert asked_s(error_from(429, data, header)) == seconds


def test_F11_an_error_of_another_kind_asks_for_no_wait():
    assert asked_s(ValueError()) == 0


# name, error, already exists, conflict, not found, refused
TABLE = [
    ("name taken", ApiError(409, "AlreadyExists", ""), True, False, False, False),
    ("changed meanwhile", ApiError(409, "Conflict", ""), False, True, False, False),
    ("gone", ApiError(404, "NotFound", ""), False, False, True, False),
    ("quota", ApiError(403, "Forbidden", ""), False, False, False, True),
    ("invalid", ApiError(422, "Invalid", ""), False, False, False, True),
    ("a webhook said no with 500", ApiError(500, "", 'admission webhook "x" denied'), False, False, False, True),
    ("etcd", ApiError(500, "InternalError", "etcd"), False, False, False, False),
    ("too many requests", ApiError(429, "TooManyRequests", ""), False, False, False, False),
    ("not reached", ApiError(0, "Unreachable", ""), False, False, False, False),
]


@pytest.mark.parametrize(("error", "expected"), [(r[1], r[2:]) for r in TABLE], ids=[r[0] for r in TABLE])
def test_errors_are_told_apart_by_what_one_can_do(error, expected):
    assert (error.already_exists, error.conflict, error.not_found, error.refused) == expected
