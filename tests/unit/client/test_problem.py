"""What an answer of the API server means to the user."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from flowrun.problem import Exists, Gone, Problem, Unreachable, explain


def answer(status: int, message: str = "", reason: str = "", **details: Any) -> ApiException:
    body = json.dumps({"kind": "Status", "message": message, "reason": reason, "details": details})
    return ApiException(status, "an HTTP reason", body=body)


CASES = [
    (
        "no such run",
        answer(404, 'flowruns.flowrun.dev "etl" not found', name="etl"),
        Gone,
        'etl: flow.*"etl" not found',
    ),
    ("no such kind", answer(404, "the server could not find the requested resource"), Problem, "install the chart"),
    ("no such path", ApiException(404, "Not Found", body="404 page not found\n"), Problem, "install the chart"),
    ("taken", answer(409, "already exists", "AlreadyExists", name="etl"), Exists, "already exists"),
    ("changed", answer(409, "the object has been modified", "Conflict"), Unreachable, "modified"),
    ("no right", answer(403, 'User "jane" cannot create'), Problem, 'you may not: User "jane" cannot create'),
    ("no user", answer(401, "Unauthorized"), Problem, "who you are"),
    ("refused", answer(422, "spec.flow.entrypoint: write it as"), Problem, "etl: spec.flow.entrypoint: write it as"),
    ("busy", answer(429, "too many requests"), Unreachable, "too many"),
    ("broken", answer(503, "etcd is away"), Unreachable, "etcd is away"),
    ("no JSON", ApiException(502, "Bad Gateway", body="<html>"), Unreachable, "<html>"),
    ("no body", ApiException(0, "Handshake status 401"), Unreachable, "Handshake"),
]


@pytest.mark.parametrize(("error", "kind", "says"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_an_answer_is_told_in_words(error: ApiException, kind: type[Problem], says: str) -> None:
    problem = explain(error, "create flowruns.flowrun.dev etl")
    assert type(problem) is kind
    assert str(problem).startswith("create flowruns.flowrun.dev etl: ")
    assert re.search(says, str(problem))
    assert "{" not in str(problem)
