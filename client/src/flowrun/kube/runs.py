"""FlowRuns, and what is applied for them."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from kubernetes.client.exceptions import ApiException

from flowrun.kube.connection import APPLY, STRATEGIC, Connection, asking
from flowrun.kube.custom_objects import Objects
from flowrun.problem import Problem
from flowrun_api.constants import API_VERSION, RUNS

Raw = dict[str, Any]


class Runs(Objects):
    """FlowRuns of one namespace.

    Args:
        connection: to the cluster.
    """

    ends_with_command = False

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, RUNS)

    def apply(self, manifest: Raw, *, dry_run: bool = False) -> None:
        """Create or change an object that a run needs, such as a ConfigMap.

        Args:
            manifest: the object.
            dry_run: only have the server check it.

        Raises:
            Problem: the cluster refused it.
        """
        kind, name = manifest["kind"], manifest["metadata"].get("name")
        if not name:
            raise Problem(f"{kind}: metadata.name is missing")
        with asking(f"apply {kind} {name}"):
            path = self._path_of(manifest["apiVersion"], kind, manifest["metadata"].get("namespace", self.namespace))
            query = {"dryRun": "All" if dry_run else "", "fieldManager": "flowrun"}
            # Forced: the fields may belong to an earlier `kubectl apply` of the same file.
            apply = {**query, "force": "true"}
            self._connection.request("PATCH", f"{path}/{quote(name)}", manifest, query=apply, patch=APPLY)

    def _path_of(self, api_version: str, kind: str, namespace: str) -> str:
        """Return where objects of a kind are.

        Raises:
            Problem: the cluster has no such kind.
        """
        group = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        if (api_version, kind) == ("v1", "ConfigMap"):  # in nearly every file, and known
            return f"{group}/namespaces/{namespace}/configmaps"
        try:
            known = self._connection.request("GET", group)["resources"]
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            known = []
        for resource in known:
            if resource["kind"] == kind and "/" not in resource["name"]:
                scope = f"/namespaces/{namespace}" if resource["namespaced"] else ""
                return f"{group}{scope}/{resource['name']}"
        raise Problem(f"apply {kind}: this cluster has no such kind")

    def cancel(self, name: str) -> Raw:
        """Ask for the end of a run by `spec.cancel`, and return the FlowRun.

        Raises:
            Gone: there is none of that name.
            Problem: the cluster refused it.
        """
        return self.patch(name, {"cancel": True}, "cancel")

    def give(self, config_map: str, run: Raw) -> None:
        """Have a ConfigMap go with a run; with several, it goes with the last of them.

        Args:
            config_map: its name.
            run: as it was created.

        Raises:
            Problem: the cluster refused it.
        """
        metadata = run["metadata"]
        owner = {"apiVersion": API_VERSION, "kind": "FlowRun", "name": metadata["name"], "uid": metadata["uid"]}
        with asking(f"give ConfigMap {config_map} to {self.kind} {metadata['name']}"):
            body = {"metadata": {"ownerReferences": [owner]}}
            self._connection.request("PATCH", self._config_map(config_map), body, patch=STRATEGIC)

    def drop(self, config_map: str) -> None:
        """Delete a ConfigMap whose run was not created; that it can't be is not worth a word more.

        Args:
            config_map: its name.
        """
        with suppress(Problem), asking(f"delete ConfigMap {config_map}"):
            self._connection.request("DELETE", self._config_map(config_map))

    def owners_of_config_map(self, config_map: str) -> list[str]:
        """Return the uids of the objects that a ConfigMap goes with.

        Args:
            config_map: its name.

        Raises:
            Gone: there is no such ConfigMap.
            Problem: the cluster does not tell.
        """
        with asking(f"get ConfigMap {config_map}"):
            found = self._connection.request("GET", self._config_map(config_map))
        return [owner["uid"] for owner in found["metadata"].get("ownerReferences", [])]

    def _config_map(self, name: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps/{quote(name)}"
