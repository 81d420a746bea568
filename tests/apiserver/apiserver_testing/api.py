"""The test's own client of the API server: its user, its controllers and its kubelet."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import ClientSession, ClientTimeout, TCPConnector

from apiserver_testing.control_plane import ADMIN

Raw = dict[str, Any]
_FLOWRUN = "/apis/flowrun.dev/v1alpha1"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
PLURALS = {
    "FlowRun": (_FLOWRUN, "flowruns"),
    "TaskCluster": (_FLOWRUN, "taskclusters"),
    "Job": ("/apis/batch/v1", "jobs"),
    "Pod": ("/api/v1", "pods"),
    "Service": ("/api/v1", "services"),
    "Secret": ("/api/v1", "secrets"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "Role": (_RBAC, "roles"),
    "RoleBinding": (_RBAC, "rolebindings"),
}


class Answer:
    """Status and body of an answer."""

    def __init__(self, status: int, body: Raw) -> None:
        self.status, self.body = status, body


class Api:
    """Requests as the cluster's administrator."""

    def __init__(self, url: str) -> None:
        headers = {"Authorization": f"Bearer {ADMIN}"}
        self.session = ClientSession(
            url,
            headers=headers,
            connector=TCPConnector(ssl=False, limit=0),
            timeout=ClientTimeout(total=None, sock_connect=10),
            read_bufsize=2**22,
        )

    async def close(self) -> None:
        await self.session.close()

    async def call(self, method: str, path: str, body: Any = None, **query: str) -> Answer:
        headers = {"Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"}
        async with self.session.request(method, path, json=body, params=query, headers=headers) as response:
            text = await response.text()  # not JSON where a path is not served (yet)
            body = json.loads(text) if text.startswith("{") else {"message": text}
            return Answer(response.status, body)

    async def must(self, method: str, path: str, body: Any = None, **query: str) -> Raw:
        answer = await self.call(method, path, body, **query)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body.get('message')}"
        return answer.body


def path_of(kind: str, namespace: str, name: str = "") -> str:
    prefix, plural = PLURALS[kind]
    return f"{prefix}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")
