"""FlowRuns, and what is applied for them."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from kubernetes.dynamic import DynamicClient

from flowrun.kube.connection import TIMEOUT_S, Connection, asking
from flowrun.kube.custom_objects import Objects
from flowrun.kube.kinds import API_VERSION, RUNS
from flowrun.problem import Problem

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
        more = {"dry_run": "All"} if dry_run else {}
        with asking(f"apply {kind} {name}"), tempfile.TemporaryDirectory() as cache:
            # By default what the cluster offers is kept in /tmp under a name that anybody could write to.
            dynamic = DynamicClient(self._connection.api, cache_file=str(Path(cache) / "kinds"))
            resource = dynamic.resources.get(api_version=manifest["apiVersion"], kind=kind)
            namespace = manifest["metadata"].get("namespace", self.namespace) if resource.namespaced else None
            # Forced: the fields may belong to an earlier `kubectl apply` of the same file.
            dynamic.server_side_apply(
                resource, manifest, name, namespace,
                force_conflicts=True, field_manager="flowrun", timeout=TIMEOUT_S, **more,
            )  # fmt: skip

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
            core = self._connection.core
            core.patch_namespaced_config_map(config_map, self.namespace, body, _request_timeout=TIMEOUT_S)

    def drop(self, config_map: str) -> None:
        """Delete a ConfigMap whose run was not created; that it can't be is not worth a word more.

        Args:
            config_map: its name.
        """
        with suppress(Problem), asking(f"delete ConfigMap {config_map}"):
            core = self._connection.core
            core.delete_namespaced_config_map(config_map, self.namespace, _request_timeout=TIMEOUT_S)

    def owners_of_config_map(self, config_map: str) -> list[str]:
        """Return the uids of the objects that a ConfigMap goes with.

        Args:
            config_map: its name.

        Raises:
            Gone: there is no such ConfigMap.
            Problem: the cluster does not tell.
        """
        with asking(f"get ConfigMap {config_map}"):
            found = self._connection.call(self._connection.core.read_namespaced_config_map, config_map, self.namespace)
        return [owner["uid"] for owner in found["metadata"].get("ownerReferences", [])]
