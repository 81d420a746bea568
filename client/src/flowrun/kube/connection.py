"""How the cluster is reached, and what its answers mean to the user."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import DynamicApiError, ResourceNotFoundError
from urllib3.exceptions import HTTPError

from flowrun.problem import Problem, Unreachable, explain

Raw = dict[str, Any]

TIMEOUT_S = 15.0
# https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
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

    @cached_property
    def objects(self) -> client.CustomObjectsApi:
        """Our own kinds."""
        return client.CustomObjectsApi(self.api)

    @cached_property
    def core(self) -> client.CoreV1Api:
        """Pods, Services, events and the like."""
        return client.CoreV1Api(self.api)

    @cached_property
    def tables(self) -> client.CustomObjectsApi:
        """Our own kinds as the server prints them: columns and cells instead of objects."""
        return client.CustomObjectsApi(client.ApiClient(self.api.configuration, "Accept", _TABLE))

    def call(self, request: Callable[..., Any], *args: Any, **more: Any) -> Raw:
        """Make a request and return its answer as plain data.

        Args:
            request: a method of the client library.
            args: of the request.
            more: of the request.
        """
        answer: Raw = self.api.sanitize_for_serialization(request(*args, _request_timeout=TIMEOUT_S, **more))
        return answer


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
    except ResourceNotFoundError as error:
        raise Problem(f"{what}: this cluster has no such kind") from error
    except DynamicApiError as error:
        raise explain(ApiException(error.status, error.reason, body=_text(error.body)), what) from error
    except ApiException as error:
        raise explain(error, what) from error
    except (HTTPError, OSError) as error:
        raise Unreachable(f"{what}: the cluster does not answer: {error}") from error


def _text(body: Any) -> str:
    return body.decode(errors="replace") if isinstance(body, bytes) else str(body)
