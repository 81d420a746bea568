"""Objects of one of our kinds, in one namespace: reading, changing, and the tables that the server makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from flowrun.kube.connection import Connection, asking
from flowrun.problem import Gone
from flowrun_api.constants import API_VERSION, GROUP

Raw = dict[str, Any]

LATEST = "@latest"
# https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


class Objects:
    """FlowRuns, or TaskClusters.

    Args:
        connection: to the cluster.
        plural: of the kind.
    """

    def __init__(self, connection: Connection, plural: str) -> None:
        self.namespace = connection.namespace
        self._connection = connection
        self._plural = plural
        self.kind = f"{plural}.{GROUP}"

    def _path(self, name: str = "") -> str:
        path = f"/apis/{API_VERSION}/namespaces/{self.namespace}/{self._plural}"
        return f"{path}/{quote(name)}" if name else path

    def create(self, manifest: Raw, *, dry_run: bool = False) -> Raw:
        """Create an object and return it.

        Args:
            manifest: the object.
            dry_run: only have the server check it.

        Raises:
            Exists: one of that name is there already.
            Problem: the cluster refused it.
        """
        name = manifest["metadata"].get("name") or manifest["metadata"].get("generateName", "")
        with asking(f"create {self.kind} {name}"):
            query = {"dryRun": "All" if dry_run else ""}
            return self._connection.request("POST", self._path(), manifest, query=query)

    def get(self, name: str) -> Raw:
        """Return an object.

        Args:
            name: `@latest` is the one that was created last.

        Raises:
            Gone: there is none of that name.
            Problem: the cluster does not tell.
        """
        if name == LATEST:
            return self.latest()
        with asking(f"get {self.kind} {name}"):
            return self._connection.request("GET", self._path(name))

    def latest(self) -> Raw:
        """Return the object that was created last.

        Raises:
            Gone: there is none.
            Problem: the cluster does not tell.
        """
        found = self.all()
        if not found:
            raise Gone(f"{LATEST}: there are no {self.kind} in namespace {self.namespace}")
        return max(found, key=lambda item: str(item["metadata"]["creationTimestamp"]))

    def all(self, *, everywhere: bool = False, selector: str = "") -> list[Raw]:
        """Return the objects of the namespace, or of all namespaces.

        Args:
            everywhere: of all namespaces.
            selector: of labels; empty: whatever they have.

        Raises:
            Problem: the cluster does not tell.
        """
        items: list[Raw] = self._list("application/json", everywhere=everywhere, selector=selector)["items"]
        return items

    def table(self, *, everywhere: bool = False, selector: str = "") -> Raw:
        """Return them as `meta.k8s.io/v1 Table`: the columns are the CRD's, so they fit the operator that is there.

        Args:
            everywhere: of all namespaces.
            selector: of labels; empty: whatever they have.

        Raises:
            Problem: the cluster does not tell.
        """
        return self._list(_TABLE, everywhere=everywhere, selector=selector)

    def _list(self, accept: str, *, everywhere: bool, selector: str) -> Raw:
        path = f"/apis/{API_VERSION}/{self._plural}" if everywhere else self._path()
        with asking(f"list {self.kind}"):
            return self._connection.request("GET", path, query={"labelSelector": selector}, accept=accept)

    def patch(self, name: str, spec: Mapping[str, Any], what: str) -> Raw:
        """Change fields of `spec`, and return the object.

        Args:
            name: of the object.
            spec: the fields, with their new values.
            what: is done by that, such as "cancel".

        Raises:
            Gone: there is none of that name.
            Problem: the cluster refused it.
        """
        with asking(f"{what} {self.kind} {name}"):
            return self._connection.request("PATCH", self._path(name), {"spec": dict(spec)})

    def scale(self, name: str, replicas: int) -> None:
        """Set how many workers are wanted, by the subresource: `spec` itself may be out of the user's reach.

        Args:
            name: of the object.
            replicas: how many.

        Raises:
            Gone: there is none of that name.
            Problem: the cluster refused it.
        """
        body = {"spec": {"replicas": replicas}}
        with asking(f"scale {self.kind} {name}"):
            self._connection.request("PATCH", f"{self._path(name)}/scale", body)

    def delete(self, name: str, uid: str) -> None:
        """Delete one object and no later one of its name; its dependents follow in the background.

        Args:
            name: of the object.
            uid: of the object.

        Raises:
            Gone: there is none of that name.
            Problem: the cluster refused it.
        """
        with asking(f"delete {self.kind} {name}"):
            options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
            self._connection.request("DELETE", self._path(name), options)
