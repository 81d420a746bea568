"""Objects of one of our kinds, in one namespace: reading, changing, and the tables that the server makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowrun.kube.connection import TIMEOUT_S, Connection, asking
from flowrun.kube.kinds import GROUP, VERSION
from flowrun.problem import Gone

Raw = dict[str, Any]

LATEST = "@latest"


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

    @property
    def _scope(self) -> tuple[str, str, str, str]:
        return GROUP, VERSION, self.namespace, self._plural

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
        more = {"dry_run": "All"} if dry_run else {}
        with asking(f"create {self.kind} {name}"):
            return self._call("create_namespaced_custom_object", *self._scope, manifest, **more)

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
            return self._call("get_namespaced_custom_object", *self._scope, name)

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
        items: list[Raw] = self._list(self._connection.objects, everywhere=everywhere, selector=selector)["items"]
        return items

    def table(self, *, everywhere: bool = False, selector: str = "") -> Raw:
        """Return them as `meta.k8s.io/v1 Table`: the columns are the CRD's, so they fit the operator that is there.

        Args:
            everywhere: of all namespaces.
            selector: of labels; empty: whatever they have.

        Raises:
            Problem: the cluster does not tell.
        """
        return self._list(self._connection.tables, everywhere=everywhere, selector=selector)

    def _list(self, api: Any, *, everywhere: bool, selector: str) -> Raw:
        more: Raw = {"label_selector": selector} if selector else {}
        with asking(f"list {self.kind}"):
            if everywhere:
                return self._connection.call(api.list_cluster_custom_object, GROUP, VERSION, self._plural, **more)
            return self._connection.call(api.list_namespaced_custom_object, *self._scope, **more)

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
            return self._call("patch_namespaced_custom_object", *self._scope, name, {"spec": dict(spec)})

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
            self._call("patch_namespaced_custom_object_scale", *self._scope, name, body)

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
            self._call("delete_namespaced_custom_object", *self._scope, name, body=options)

    def _call(self, request: str, *args: Any, **more: Any) -> Raw:
        answer: Raw = getattr(self._connection.objects, request)(*args, _request_timeout=TIMEOUT_S, **more)
        return answer
