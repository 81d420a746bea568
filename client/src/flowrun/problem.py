"""What goes wrong, in words for a terminal: what, where, and what to do."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubernetes.client.exceptions import ApiException


class Problem(Exception):  # noqa: N818 - not always an error of the program
    """Something that the user is told, and that ends the command."""


class Unreachable(Problem):
    """The API server did not answer; it may a moment later."""


class Uncertain(Problem):
    """Whether the API server has done what it was asked for is not known."""


class Gone(Problem):
    """There is no such object."""


class Exists(Problem):
    """There is an object of that name already."""


def explain(error: ApiException, what: str) -> Problem:
    """Return what an answer of the API server means to the user.

    Args:
        error: the answer.
        what: was asked for, such as "create flowruns.flowrun.dev etl".
    """
    kind, text, status = Problem, _said(error, "message") or str(error.body or error.reason).strip(), error.status or 0
    if status == HTTPStatus.UNAUTHORIZED:
        text = "the cluster does not know who you are; is your kubeconfig still valid?"
    elif status == HTTPStatus.FORBIDDEN:
        text = f"you may not: {text}"
    elif status == HTTPStatus.NOT_FOUND and not _said(error, "details", "name"):
        text = "this cluster does not know FlowRuns; install the chart flowrun-operator first"
    elif status == HTTPStatus.NOT_FOUND:
        kind = Gone
    elif status == HTTPStatus.CONFLICT and _said(error, "reason") == "AlreadyExists":
        kind = Exists
    elif status in {0, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS} or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = Unreachable
    return kind(f"{what}: {text}")


def _said(error: ApiException, *path: str) -> str:
    """Return a field of the Status object that the API server answers with, empty without one."""
    try:
        found = json.loads(error.body or "")
        for key in path:
            found = found[key]
        return str(found)
    except (ValueError, KeyError, TypeError):
        return ""
