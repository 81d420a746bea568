"""A thin client over `kubernetes.aio`: dicts in, dicts out, for the few kinds and verbs that the operator uses.

No retries here: a failed request fails its reconcile, and the work queue tries again with back-off, or when the server
wants to be asked again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import aiohttp
from kubernetes.aio import client, config

from flowrun_operator import metrics
from flowrun_operator.kube.errors import ApiError, error_from

Raw = dict[str, Any]

_FLOWRUN_API = "/apis/flowrun.dev/v1alpha1"
_RBAC_API = "/apis/rbac.authorization.k8s.io/v1"
_KINDS = {
    "FlowRun": (_FLOWRUN_API, "flowruns"),
    "TaskCluster": (_FLOWRUN_API, "taskclusters"),
    "Job": ("/apis/batch/v1", "jobs"),
    "Pod": ("/api/v1", "pods"),
    "Service": ("/api/v1", "services"),
    "Secret": ("/api/v1", "secrets"),
    "Event": ("/api/v1", "events"),
    "ResourceQuota": ("/api/v1", "resourcequotas"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "Role": (_RBAC_API, "roles"),
    "RoleBinding": (_RBAC_API, "rolebindings"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
}
_MERGE_PATCH = "application/merge-patch+json"


class KubeClient:
    """Requests to the API server.

    Args:
        timeout_s: Longest time for one request, in seconds.
        fence: Asked right before every write: returns the seconds that it may take, or raises. None: all may pass.
    """

    def __init__(self, timeout_s: float = 15.0, fence: Callable[[], float] | None = None) -> None:
        self._timeout_s = timeout_s
        self._fence = fence
        self._client: client.ApiClient | None = None

    async def connect(self) -> None:
        """Load the configuration: in the cluster the service account's, else the kubeconfig's."""
        configuration = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            await config.load_kube_config(client_configuration=configuration)
        self._client = client.ApiClient(configuration)
        self._client.user_agent = "flowrun-operator"

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    async def create(self, manifest: Raw) -> Raw:
        """Create an object and return it.

        Raises:
            ApiError: Whatever the API server refused; `already_exists` when the name is taken.
        """
        return await self._request("POST", self._path(manifest["kind"], manifest["metadata"]["namespace"]), manifest)

    async def replace(self, manifest: Raw) -> Raw:
        """Replace an object, if it is still the one that was read (409 otherwise)."""
        metadata = manifest["metadata"]
        path = self._path(manifest["kind"], metadata["namespace"], metadata["name"])
        return await self._request("PUT", path, manifest)

    async def get(self, kind: str, namespace: str, name: str) -> Raw:
        """Return one object, read from the server and not from any cache."""
        return await self._request("GET", self._path(kind, namespace, name))

    async def list(self, kind: str, namespace: str = "", **query: str) -> Raw:
        """Return a list of a kind; an empty namespace means all."""
        return await self._request("GET", self._path(kind, namespace), query=query)

    async def patch_status(self, kind: str, namespace: str, name: str, status: Raw, resource_version: str) -> Raw:
        """Replace the status, if the object is still the one that was read (409 otherwise)."""
        body = {"metadata": {"resourceVersion": resource_version}, "status": status}
        return await self._request("PATCH", f"{self._path(kind, namespace, name)}/status", body)

    async def end_pod(self, namespace: str, name: str, uid: str, active_deadline_s: int) -> Raw:
        """Give a pod a deadline, if it is still the one meant (422 otherwise); it can only ever be lowered."""
        body = {"metadata": {"uid": uid}, "spec": {"activeDeadlineSeconds": active_deadline_s}}
        return await self._request("PATCH", self._path("Pod", namespace, name), body)

    async def scale(self, kind: str, namespace: str, name: str, replicas: int, resource_version: str) -> Raw:
        """Set the number of replicas, if the object is still the one that was read (409 otherwise)."""
        body = {"metadata": {"resourceVersion": resource_version}, "spec": {"replicas": replicas}}
        return await self._request("PATCH", f"{self._path(kind, namespace, name)}/scale", body)

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str = "", grace_s: int | None = None) -> Raw:
        """Delete an object, if a uid is given only that one; its dependents follow in the background."""
        body: Raw = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        return await self._request("DELETE", self._path(kind, namespace, name), body)

    async def delete_collection(self, kind: str, namespace: str, *, selector: str, grace_s: int) -> Raw:
        """Delete all objects that a label selector matches, in one request."""
        body = {"gracePeriodSeconds": grace_s, "propagationPolicy": "Background"}
        return await self._request("DELETE", self._path(kind, namespace), body, {"labelSelector": selector})

    def _path(self, kind: str, namespace: str, name: str = "") -> str:
        prefix, plural = _KINDS[kind]
        scope = f"{prefix}/namespaces/{namespace}/{plural}" if namespace else f"{prefix}/{plural}"
        return f"{scope}/{name}" if name else scope

    async def _request(
        self, method: str, path: str, body: Raw | None = None, query: dict[str, str] | None = None
    ) -> Raw:
        if self._client is None:
            raise RuntimeError("connect() first")
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = _MERGE_PATCH if method == "PATCH" else "application/json"
        request = await self._client.param_serialize(
            method,
            path,
            header_params=headers,
            query_params=list((query or {}).items()),
            body=body,
            auth_settings=["BearerToken"],
        )
        timeout_s = self._timeout_s
        if method != "GET" and self._fence is not None:
            # Here and not earlier: this process may have been paused at any point above.
            timeout_s = min(timeout_s, self._fence())
        started = time.monotonic()
        try:
            response = await self._client.call_api(*request, _request_timeout=timeout_s)
            data = await response.read()
        except (OSError, TimeoutError, aiohttp.ClientError) as error:  # not all of aiohttp's are OSErrors (issue 13)
            metrics.API_REQUESTS.labels(method, "error").inc()
            raise ApiError(0, "Unreachable", f"{method} {path}: {error or type(error).__name__}") from error
        metrics.API_REQUESTS.labels(method, str(response.status)).inc()
        metrics.API_SECONDS.labels(method).observe(time.monotonic() - started)
        if response.status >= 400:
            raise error_from(response.status, data, response.headers.get("Retry-After", ""))
        result: Raw = json.loads(data)
        return result
