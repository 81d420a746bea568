"""How the cluster is reached, and what its answers mean to the user."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from flowrun.problem import Problem, Unreachable, explain

Raw = dict[str, Any]

TIMEOUT_S = 15.0
# Kinds of a patch; JSON is YAML too.
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
_SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Connection:
    """The API of a cluster, and the namespace that commands are for.

    Args:
        api: how to reach it.
        namespace: of the context, or the user's.
        in_cluster: whether this process is in one of its pods, and reaches its Services.
    """

    api: client.ApiClient
    namespace: str
    in_cluster: bool = False

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        accept: str = "application/json",
        patch: str = MERGE,
    ) -> Raw:
        """Make a request and return its answer.

        Not by the methods of the client library: importing its models takes a second, longer than most commands.

        Args:
            method: of HTTP.
            path: of the API, such as `/version`.
            body: of the request; None: it has none.
            query: parameters; those that are empty are left out.
            accept: which form the answer should have.
            patch: which kind of patch a PATCH is.

        Raises:
            ApiException: the API server refused it.
            urllib3.exceptions.HTTPError: it did not answer.
        """
        content = patch if method == "PATCH" else "application/json"
        response = self._send(method, path, body, query, accept, content=content, timeout=TIMEOUT_S, preload=True)
        answer: Raw = json.loads(response.data)
        return answer

    def stream(self, path: str, query: Mapping[str, Any], silence_s: float) -> urllib3.BaseHTTPResponse:
        """Read a path whose answer comes bit by bit; the caller closes it.

        Args:
            path: of the API.
            query: parameters; those that are empty are left out.
            silence_s: longest time without a byte; then it is a `ReadTimeoutError`.

        Raises:
            ApiException: the API server refused it.
            urllib3.exceptions.HTTPError: it did not answer.
        """
        timeout = urllib3.Timeout(connect=TIMEOUT_S, read=silence_s)
        return self._send("GET", path, None, query, "*/*", timeout=timeout, preload=False)

    def _send(
        self,
        method: str,
        path: str,
        body: Any,
        query: Mapping[str, Any] | None,
        accept: str,
        *,
        content: str = "application/json",
        timeout: float | urllib3.Timeout,
        preload: bool,
    ) -> urllib3.BaseHTTPResponse:
        configuration = self.api.configuration
        headers = {"Accept": accept, "User-Agent": "flowrun"}
        if login := configuration.get_api_key_with_prefix("BearerToken", alias="authorization"):
            headers["Authorization"] = login
        elif configuration.username:
            headers["Authorization"] = configuration.get_basic_auth_token()
        if body is not None:
            headers["Content-Type"] = content
        asked = urlencode({name: value for name, value in (query or {}).items() if value not in (None, "", False)})
        response: urllib3.BaseHTTPResponse = self.api.rest_client.pool_manager.request(
            method,
            f"{configuration.host}{path}" + (f"?{asked}" if asked else ""),
            body=None if body is None else json.dumps(body).encode(),
            headers=headers,
            timeout=timeout,
            preload_content=preload,
        )
        if response.status >= HTTPStatus.BAD_REQUEST:
            text = response.data.decode(errors="replace")
            raise ApiException(status=response.status, reason=response.reason, body=text)
        return response


def connect(kubeconfig: str | None, context: str | None, namespace: str | None) -> Connection:
    """Reach the cluster as kubectl does: by kubeconfig, or in a pod by its service account.

    Args:
        kubeconfig: path; None: KUBECONFIG, else the default one.
        context: of the kubeconfig; None: its current one.
        namespace: None: the context's.

    Raises:
        Problem: there is no usable configuration.
    """
    configuration = client.Configuration()
    in_cluster = not (kubeconfig or context or _kubeconfig_is_there()) and _SERVICE_ACCOUNT_NAMESPACE.exists()
    try:
        if in_cluster:
            config.load_incluster_config(client_configuration=configuration)
            namespace = namespace or _SERVICE_ACCOUNT_NAMESPACE.read_text()
        else:
            config.load_kube_config(kubeconfig, context, client_configuration=configuration)
            namespace = namespace or _namespace_of(kubeconfig, context)
    except yaml.YAMLError as error:
        raise Problem("no cluster: the kubeconfig is not valid YAML") from error
    except (config.ConfigException, OSError) as error:
        raise Problem(f"no cluster: {error}; set KUBECONFIG or give --kubeconfig") from error
    configuration.retries = 0  # whoever follows a run asks again; anybody else is told
    return Connection(client.ApiClient(configuration), namespace, in_cluster)


def _kubeconfig_is_there() -> bool:
    return bool(os.environ.get("KUBECONFIG")) or Path("~/.kube/config").expanduser().exists()


def _namespace_of(kubeconfig: str | None, context: str | None) -> str:
    contexts, current = config.list_kube_config_contexts(kubeconfig)
    chosen = next((item for item in contexts if item["name"] == context), current)
    return str(chosen["context"].get("namespace") or "default")


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn what the client library raises into what the user is told.

    Args:
        what: is asked for.
    """
    try:
        yield
    except ApiException as error:
        raise explain(error, what) from error
    except (HTTPError, OSError) as error:
        raise Unreachable(f"{what}: the cluster does not answer: {error}") from error
