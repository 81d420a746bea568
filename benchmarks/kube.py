"""The Kubernetes API as plain JSON: the official client's models cost CPU time that the measured systems need."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from kubernetes import client, config

Raw = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
PATHS = {
    "namespaces": "/api/v1",
    "pods": "/api/v1",
    "services": "/api/v1",
    "configmaps": "/api/v1",
    "serviceaccounts": "/api/v1",
    "jobs": "/apis/batch/v1",
    "deployments": "/apis/apps/v1",
    "roles": "/apis/rbac.authorization.k8s.io/v1",
    "rolebindings": "/apis/rbac.authorization.k8s.io/v1",
    "clusterroles": "/apis/rbac.authorization.k8s.io/v1",
    "clusterrolebindings": "/apis/rbac.authorization.k8s.io/v1",
    "customresourcedefinitions": "/apis/apiextensions.k8s.io/v1",
    "flowruns": "/apis/flowrun.dev/v1alpha1",
    "taskclusters": "/apis/flowrun.dev/v1alpha1",
    "daskclusters": "/apis/kubernetes.dask.org/v1",
    "daskworkergroups": "/apis/kubernetes.dask.org/v1",
}


class ApiError(Exception):
    """The API server refused a request."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:300]}")
        self.status = status


class Kube:
    """Requests with the user's kubeconfig, or the one of the bundled cluster."""

    def __init__(self) -> None:
        kubeconfig = os.environ.get("KUBECONFIG") or str(ROOT / ".local" / "kubeconfig")
        self._config = client.Configuration()
        config.load_kube_config(kubeconfig, client_configuration=self._config)
        self._pool = client.ApiClient(self._config).rest_client.pool_manager

    def request(self, method: str, path: str, body: Any = None, *, patch: bool = False, **query: Any) -> Any:
        """Send a request; `path` begins with a slash. Raises ApiError."""
        response = self._send(method, path, body, patch, query, timeout=30.0)
        text = response.data.decode()
        if response.status >= 400:
            raise ApiError(response.status, text)
        try:
            return json.loads(text)
        except ValueError:
            return text

    def stream(self, path: str, timeout_s: float, **query: Any) -> Iterator[bytes]:
        """Yield the lines of a watch or a log until the server ends it."""
        response = self._send("GET", path, None, False, query, timeout=timeout_s, preload=False)
        if response.status >= 400:
            raise ApiError(response.status, response.read().decode())
        rest = b""
        try:
            for chunk in response.stream(65536):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines
        finally:
            response.close()

    def _send(
        self, method: str, path: str, body: Any, patch: bool, query: Raw, timeout: float, preload: bool = True
    ) -> Any:
        headers = {"Content-Type": "application/merge-patch+json" if patch else "application/json"}
        token = self._config.get_api_key_with_prefix("authorization")
        if token:
            headers["Authorization"] = token
        url = self._config.host + path + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body)
        return self._pool.request(
            method, url, body=data, headers=headers, timeout=timeout, preload_content=preload, retries=False
        )

    def create(self, kind: str, namespace: str | None, manifest: Raw, *, replace: bool = False) -> Raw:
        """Create an object; with `replace` an existing one is deleted first."""
        try:
            return self.request("POST", path_of(kind, namespace), manifest)
        except ApiError as error:
            if error.status != 409:
                raise
            name = manifest["metadata"]["name"]
            if not replace:
                return self.request("GET", path_of(kind, namespace, name))
            self.delete(kind, namespace, name)
            wait(lambda: self.get(kind, namespace, name) is None, 30, f"{kind} {name} gone")
            return self.request("POST", path_of(kind, namespace), manifest)

    def get(self, kind: str, namespace: str | None, name: str) -> Raw | None:
        try:
            return self.request("GET", path_of(kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: str, namespace: str | None, selector: str = "") -> list[Raw]:
        query = {"labelSelector": selector} if selector else {}
        return self.request("GET", path_of(kind, namespace), **query)["items"]

    def delete(self, kind: str, namespace: str | None, name: str) -> None:
        """Delete with what it owns; an absent object is no error."""
        try:
            self.request("DELETE", path_of(kind, namespace, name), propagationPolicy="Background")
        except ApiError as error:
            if error.status != 404:
                raise


def path_of(kind: str, namespace: str | None, name: str = "") -> str:
    where = f"/namespaces/{namespace}" if namespace else ""
    return f"{PATHS[kind]}{where}/{kind}" + (f"/{name}" if name else "")


def wait(check: Callable[[], Any], timeout_s: float, what: str, every_s: float = 0.3) -> Any:
    """Return the first true value of `check`; TimeoutError after `timeout_s`."""
    end = time.monotonic() + timeout_s
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        time.sleep(every_s)
