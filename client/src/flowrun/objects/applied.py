"""What FlowRun and TaskCluster have in common for scripts: a manifest, and an object on a cluster that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import yaml

from flowrun.kube.connection import Connection, connect
from flowrun.kube.custom_objects import Objects
from flowrun.problem import Problem
from flowrun_api.constants import API_VERSION

Raw = dict[str, Any]


class Applied:
    """An object that can be applied.

    Args:
        name: of the object.
        namespace: None: the kubeconfig's.
        labels: of the object.
        spec: as the API takes it.
    """

    _kind: ClassVar[str]
    _plural: ClassVar[str]
    # How one that is there already is had, for a message.
    _had_by: ClassVar[str]

    def __init__(self, name: str, namespace: str | None, spec: Raw, labels: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.namespace = namespace
        self._spec = spec
        self._labels = dict(labels or {})
        self._uid = ""
        self._connection: Connection | None = None

    @classmethod
    def _there(cls, name: str, namespace: str | None, context: str | None, kubeconfig: str | None) -> Self:
        """Return an object that is there already."""
        connection = connect(kubeconfig, context, namespace)
        found = Objects(connection, cls._plural).get(name)
        metadata = found["metadata"]
        made = cls.__new__(cls)
        Applied.__init__(made, metadata["name"], metadata["namespace"], found["spec"], metadata.get("labels"))
        made._uid, made._connection = metadata["uid"], connection
        return made

    def to_dict(self) -> Raw:
        """Return the manifest."""
        metadata: Raw = {"name": self.name}
        metadata |= {"namespace": self.namespace} if self.namespace else {}
        metadata |= {"labels": self._labels} if self._labels else {}
        return {"apiVersion": API_VERSION, "kind": self._kind, "metadata": metadata, "spec": self._spec}

    def to_yaml(self) -> str:
        """Return the manifest as YAML, for `kubectl apply`."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def apply(self, *, context: str | None = None, kubeconfig: str | None = None) -> Self:
        """Create the object: a run starts by that, and happens once.

        Args:
            context: of the kubeconfig; None: its current one.
            kubeconfig: path; None: as kubectl finds it.

        Returns:
            itself.

        Raises:
            Problem: there is one of that name already, or the API server refused it.
        """
        self._connection = connect(kubeconfig, context, self.namespace)
        created = self._objects.create(self.to_dict())
        self.namespace, self._uid = created["metadata"]["namespace"], created["metadata"]["uid"]
        return self

    @property
    def status(self) -> Raw:
        """What the operator knows of it now; see docs/api.md.

        Raises:
            Problem: it was deleted, or the API server does not tell.
        """
        status: Raw = self._object().get("status") or {}
        return status

    def _object(self) -> Raw:
        return self._objects.get(self.name)

    @property
    def _connected(self) -> Connection:
        if self._connection is None:
            raise Problem(f"{self.name} is not on a cluster yet: apply() it, or {self._had_by}({self.name!r})")
        return self._connection

    @property
    def _objects(self) -> Objects:
        return Objects(self._connected, self._plural)
