"""The little of the Kubernetes API that a driver may use: read its TaskClusters and scale them."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from flowrun_api import environment

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# The TaskCluster, and the rights to it, may come some 100 ms after the driver.
PATIENCE_S = 10.0
RETRY_INTERVAL_S = 0.25
TIMEOUT_S = 5.0
_TOO_MANY, _SERVER_ERRORS = 429, 500


class ScaleError(RuntimeError):
    """The Kubernetes API refuses to scale a cluster, or does not answer."""


@dataclass(frozen=True)
class Condition:
    """Whether a cluster is ready, and why not."""

    ready: bool
    reason: str
    message: str


class TaskClusters:
    """The TaskClusters of one namespace."""

    def __init__(self, client: httpx.Client, namespace: str, token: Callable[[], str]) -> None:
        """Take a client of the API.

        Args:
            client: with the API's base URL.
            namespace: of the run.
            token: returns the token of the service account; asked every time, since it is renewed.
        """
        self._client = client
        self._token = token
        self._path = f"/apis/flowrun.dev/v1alpha1/namespaces/{namespace}/taskclusters"

    @classmethod
    def of_this_pod(
        cls, namespace: str, env: Mapping[str, str] = os.environ, account: Path = SERVICE_ACCOUNT
    ) -> TaskClusters | None:
        """Return what this pod may scale; None outside a pod, or if the pod was given no token.

        A run without Kubernetes has a stand-in, which asks for no token: see `prefect_flowrun.laptop.scale_api`.

        Args:
            namespace: of the run.
            env: usually `os.environ`.
            account: folder of the service account.
        """
        if stand_in := env.get(environment.SCALE_SOCKET):
            transport = httpx.HTTPTransport(uds=stand_in)
            client = httpx.Client(base_url="http://laptop", transport=transport, timeout=TIMEOUT_S, trust_env=False)
            return cls(client, namespace, lambda: "none")
        host, port = env.get("KUBERNETES_SERVICE_HOST"), env.get("KUBERNETES_SERVICE_PORT", "443")
        if not host or not (account / "token").exists():
            return None
        context = ssl.create_default_context(cafile=account / "ca.crt")
        url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        client = httpx.Client(base_url=url, verify=context, timeout=TIMEOUT_S, trust_env=False)
        return cls(client, namespace, lambda: (account / "token").read_text().strip())

    def scale(self, name: str, replicas: int) -> None:
        """Set how many workers a cluster should have.

        Args:
            name: of the TaskCluster.
            replicas: workers.

        Raises:
            ScaleError: the API refuses, or does not answer for 10 s.
        """
        self._request("PATCH", f"{name}/scale", {"spec": {"replicas": replicas}})

    def condition(self, name: str) -> Condition | None:
        """Return whether a cluster is ready; None if the operator has not said so yet.

        Args:
            name: of the TaskCluster.

        Raises:
            ScaleError: the API refuses, or does not answer for 10 s.
        """
        conditions = (self._request("GET", name).get("status") or {}).get("conditions") or []
        for condition in conditions:
            if condition.get("type") == "Ready":
                ready, reason = condition.get("status") == "True", condition.get("reason") or ""
                return Condition(ready, reason, condition.get("message") or "")
        return None

    def _request(self, method: str, path: str, patch: dict[str, Any] | None = None) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            problem, final = "", False
            try:
                response = self._client.request(
                    method,
                    f"{self._path}/{path}",
                    json=patch,
                    headers={
                        "Authorization": f"Bearer {self._token()}",
                        **({"Content-Type": "application/merge-patch+json"} if patch else {}),
                    },
                )
            except (httpx.HTTPError, OSError) as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                if response.is_success:
                    return dict(response.json())
                problem, final = _explain(response), not _may_pass(response.status_code)
            if final or time.monotonic() > deadline:
                raise ScaleError(f"Kubernetes: {method} of TaskCluster {path} failed: {problem}")
            time.sleep(RETRY_INTERVAL_S)


def _may_pass(status: int) -> bool:
    return status in (httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND, _TOO_MANY) or status >= _SERVER_ERRORS


def _explain(response: httpx.Response) -> str:
    try:
        return f"{response.status_code} {response.json()['message']}"
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.text[:200]}"
