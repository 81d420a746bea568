"""All requests to the Kubernetes API, with the rights of the user's kubeconfig."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import DynamicApiError, ResourceNotFoundError
from urllib3.exceptions import HTTPError, ReadTimeoutError

from prefect_flowrun.cli.problem import Problem, Unreachable, explain
from prefect_flowrun.cli.view import GROUP, KIND, PLURAL, VERSION

Raw = dict[str, Any]

_TIMEOUT_S = 15.0
# A log that is silent for so long is asked for anew: the connection may be dead.
_SILENCE_S = 60.0
_SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Cluster:
    """FlowRuns of one namespace, and their drivers' logs.

    Args:
        api: how to reach the cluster.
        namespace: of the runs.
    """

    ends_with_command = False

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self.namespace = namespace
        self._api = api
        self._objects = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)

    @property
    def _scope(self) -> tuple[str, str, str, str]:
        return GROUP, VERSION, self.namespace, PLURAL

    def apply(self, manifest: Raw) -> None:
        """Create or change an object that a run needs, such as a ConfigMap.

        Raises:
            Problem: the cluster refused it.
        """
        kind, name = manifest["kind"], manifest["metadata"].get("name")
        if not name:
            raise Problem(f"{kind}: metadata.name is missing")
        with asking(f"apply {kind} {name}"), tempfile.TemporaryDirectory() as cache:
            # By default what the cluster offers is kept in /tmp under a name that anybody could write to.
            dynamic = DynamicClient(self._api, cache_file=str(Path(cache) / "kinds"))
            resource = dynamic.resources.get(api_version=manifest["apiVersion"], kind=kind)
            namespace = manifest["metadata"].get("namespace", self.namespace) if resource.namespaced else None
            # Forced: the fields may belong to an earlier `kubectl apply` of the same file.
            dynamic.server_side_apply(
                resource, manifest, name, namespace, force_conflicts=True, field_manager="flowrun", timeout=_TIMEOUT_S
            )

    def create(self, flow_run: Raw) -> Raw:
        """Create a FlowRun and return it.

        Raises:
            Exists: a run of that name is there already.
            Problem: the cluster refused it.
        """
        name = flow_run["metadata"].get("name") or flow_run["metadata"].get("generateName", "")
        with asking(f"create {KIND} {name}"):
            return self._call(self._objects.create_namespaced_custom_object, *self._scope, flow_run)

    def give(self, config_map: str, run: Raw) -> None:
        """Have a ConfigMap go with a run.

        Args:
            config_map: its name.
            run: as it was created.

        Raises:
            Problem: the cluster refused it.
        """
        metadata = run["metadata"]
        owner = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "FlowRun",
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        with asking(f"give ConfigMap {config_map} to {KIND} {metadata['name']}"):
            body = {"metadata": {"ownerReferences": [owner]}}
            self._core.patch_namespaced_config_map(config_map, self.namespace, body, _request_timeout=_TIMEOUT_S)

    def drop(self, config_map: str) -> None:
        """Delete a ConfigMap whose run was not created; that it can't be is not worth a word more.

        Args:
            config_map: its name.
        """
        with suppress(Problem), asking(f"delete ConfigMap {config_map}"):
            self._core.delete_namespaced_config_map(config_map, self.namespace, _request_timeout=_TIMEOUT_S)

    def get(self, name: str) -> Raw:
        """Return a FlowRun.

        Raises:
            Gone: there is none of that name.
            Problem: the cluster does not tell.
        """
        with asking(f"get {KIND} {name}"):
            return self._call(self._objects.get_namespaced_custom_object, *self._scope, name)

    def runs(self, *, everywhere: bool = False) -> list[Raw]:
        """Return the FlowRuns of the namespace, or of all namespaces.

        Raises:
            Problem: the cluster does not tell.
        """
        with asking(f"list {KIND}"):
            if everywhere:
                found = self._call(self._objects.list_cluster_custom_object, GROUP, VERSION, PLURAL)
            else:
                found = self._call(self._objects.list_namespaced_custom_object, *self._scope)
        items: list[Raw] = found["items"]
        return items

    def cancel(self, name: str) -> Raw:
        """Ask for the end of a run by `spec.cancel`, and return the FlowRun.

        Raises:
            Gone: there is none of that name.
            Problem: the cluster refused it.
        """
        with asking(f"cancel {KIND} {name}"):
            body = {"spec": {"cancel": True}}
            return self._call(self._objects.patch_namespaced_custom_object, *self._scope, name, body)

    def delete(self, name: str, uid: str) -> None:
        """Delete one FlowRun and no later one of its name; its dependents follow in the background.

        Raises:
            Gone: there is none of that name.
            Problem: the cluster refused it.
        """
        with asking(f"delete {KIND} {name}"):
            options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
            self._call(self._objects.delete_namespaced_custom_object, *self._scope, name, body=options)

    def drivers(self, run_uid: str) -> list[Raw]:
        """Return the driver pods of a run, the first attempt's first.

        Raises:
            Problem: the cluster does not tell.
        """
        selector = f"flowrun.dev/run-uid={run_uid},flowrun.dev/role=driver"
        with asking("list the run's pods"):
            found = self._core.list_namespaced_pod(self.namespace, label_selector=selector, _request_timeout=_TIMEOUT_S)
        pods: list[Raw] = self._api.sanitize_for_serialization(found)["items"]
        return sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def log(self, pod: str, since_s: int | None = None) -> Iterator[tuple[str, str]]:
        """Follow the log of a driver to its end, or until it is silent for a minute.

        Args:
            pod: the driver's.
            since_s: how far back to begin, in seconds; None: at the beginning.

        Yields:
            time and text of a line; of one that the kubelet itself has to say the time is empty.

        Raises:
            Problem: the cluster does not give it, or not any more.
        """
        since = {} if since_s is None else {"since_seconds": since_s}
        with asking(f"logs of pod {pod}"), suppress(ReadTimeoutError):
            stream = self._core.read_namespaced_pod_log(
                pod, self.namespace, container="flowrun", follow=True, timestamps=True, **since,
                _preload_content=False, _request_timeout=(_TIMEOUT_S, _SILENCE_S),
            )  # fmt: skip
            with stream:
                for line in _lines(stream):
                    time, _, text = line.partition(" ")
                    yield (time, text) if time[:4].isdigit() else ("", line)

    def _call(self, request: Callable[..., Any], *args: Any, **more: Any) -> Raw:
        answer: Raw = request(*args, _request_timeout=_TIMEOUT_S, **more)
        return answer


def connect(kubeconfig: str | None, context: str | None, namespace: str | None) -> Cluster:
    """Reach the cluster as kubectl does: by kubeconfig, or in a pod by its service account.

    Args:
        kubeconfig: path; None: KUBECONFIG, else the default one.
        context: of the kubeconfig; None: its current one.
        namespace: None: the context's.

    Raises:
        Problem: there is no usable configuration.
    """
    configuration = client.Configuration()
    try:
        if (
            kubeconfig is None
            and context is None
            and not _kubeconfig_is_there()
            and _SERVICE_ACCOUNT_NAMESPACE.exists()
        ):
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
    return Cluster(client.ApiClient(configuration), namespace)


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


def _lines(stream: Any) -> Iterator[str]:
    rest = b""
    for chunk in iter(functools.partial(stream.read1, 65536), b""):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")
