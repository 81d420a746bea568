"""Who we are to Prefect's server, without Prefect's client."""

from __future__ import annotations

import httpx
import pytest

from prefect_flowrun.records import rest


@pytest.mark.parametrize(
    ("env", "sent"),
    [
        ({}, None),
        ({"PREFECT_API_KEY": "k"}, "Bearer k"),
        ({"PREFECT_API_AUTH_STRING": "admin:pass:word"}, "Basic YWRtaW46cGFzczp3b3Jk"),
        ({"PREFECT_API_KEY": "k", "PREFECT_API_AUTH_STRING": "admin:word"}, "Bearer k"),
    ],
)
def test_credentials_are_those_of_prefects_settings(env: dict[str, str], sent: str | None) -> None:
    with rest.client(env, 5) as client:
        request = client.build_request("POST", "http://127.0.0.1:9/api/flow_runs/filter")
        if client.auth is not None:
            request = next(client.auth.auth_flow(request))
    assert request.headers.get("Authorization") == sent


def test_an_answer_without_a_body_is_none_and_a_refusal_is_raised() -> None:
    answers = {
        "/api/a": httpx.Response(200, json={"id": 1}),
        "/api/b": httpx.Response(204),
        "/api/c": httpx.Response(403),
    }
    with httpx.Client(transport=httpx.MockTransport(lambda request: answers[request.url.path])) as client:
        post = rest.poster(client, "http://127.0.0.1:9/api")
        assert (post("/a", {}), post("/b", {})) == ({"id": 1}, None)
        with pytest.raises(httpx.HTTPStatusError):
            post("/c", {})
