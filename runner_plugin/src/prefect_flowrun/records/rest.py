"""Prefect's REST API by plain HTTP, for those who can't wait for Prefect's own client to be imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from prefect_flowrun.records.close_runs import Post


def client(env: Mapping[str, str], timeout_s: float) -> httpx.Client:
    """Make a client with the credentials of Prefect's settings, PREFECT_API_KEY or PREFECT_API_AUTH_STRING.

    Args:
        env: usually `os.environ`.
        timeout_s: of a request.
    """
    if key := env.get("PREFECT_API_KEY"):
        return httpx.Client(timeout=timeout_s, headers={"Authorization": f"Bearer {key}"})
    if login := env.get("PREFECT_API_AUTH_STRING"):
        user, _, password = login.partition(":")
        return httpx.Client(timeout=timeout_s, auth=(user, password))
    return httpx.Client(timeout=timeout_s)


def poster(http: httpx.Client, api_url: str) -> Post:
    """Return the function by which `close_runs` speaks to the API.

    It raises httpx.HTTPError, and ValueError if what answers is not Prefect.

    Args:
        http: with the credentials.
        api_url: of the API, without a slash at its end.
    """

    def post(path: str, body: Any) -> Any:
        response = http.post(api_url + path, json=body)
        response.raise_for_status()
        return response.json() if response.content else None

    return post
