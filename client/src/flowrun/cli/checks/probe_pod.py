"""Whether a pod of this namespace reaches Prefect: asked by a pod that is gone afterwards."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from flowrun.cli.checks.finding import Finding, bad, note, ok
from flowrun.kube import container_state
from flowrun.kube.connection import Connection, asking
from flowrun.kube.pods import Pods
from flowrun.problem import Problem
from flowrun_api.constants import MAIN_CONTAINER

Raw = dict[str, Any]

_WAIT_S = 120.0
_POLL_S = 0.5
_CODE = """
import sys, urllib.request
try:
    urllib.request.urlopen(sys.argv[1].rstrip("/") + "/health", timeout=20).read(1)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def prefect_from_a_pod(connection: Connection, image: str, api_url: str) -> Iterator[Finding]:
    """Start a pod that asks Prefect whether it is well, and delete it.

    Args:
        connection: to the cluster.
        image: with Python: the operator's for runs.
        api_url: of Prefect, as runs get it.

    Raises:
        Problem: the pod can't be made.
    """
    name = f"flowrun-doctor-{secrets.token_hex(3)}"
    pods = f"/api/v1/namespaces/{connection.namespace}/pods"
    with asking(f"create pod {name}"):
        connection.request("POST", pods, _pod(name, image, api_url))
    try:
        yield _finding(connection, name, api_url)
    finally:
        with suppress(Problem), asking(f"delete pod {name}"):
            connection.request("DELETE", f"{pods}/{name}", {"gracePeriodSeconds": 0})


def _finding(connection: Connection, name: str, api_url: str) -> Finding:
    until, found = time.monotonic() + _WAIT_S, {}
    while time.monotonic() < until:
        with asking(f"get pod {name}"):
            found = connection.request("GET", f"/api/v1/namespaces/{connection.namespace}/pods/{name}")
        if (ended := container_state.container(found).get("terminated")) is not None:
            if ended["exitCode"] == 0:
                return ok(f"Prefect answers a pod of namespace {connection.namespace}: {api_url}")
            said = " ".join(text for _, text in Pods(connection).log(name, follow=False))
            return bad(
                f"Prefect does not answer a pod at {api_url}: {said}", "URL, network policies, the server itself"
            )
        time.sleep(_POLL_S)
    return note(
        f"a pod to ask Prefect with does not start: {container_state.state(found)}", f"image, room, quota ({name})"
    )


def _pod(name: str, image: str, api_url: str) -> Raw:
    container = {
        "name": MAIN_CONTAINER,
        "image": image,
        "command": ["python", "-c", _CODE, api_url],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "128Mi"}},
    }
    return {
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": int(_WAIT_S),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    }
