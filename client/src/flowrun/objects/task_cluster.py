"""A standalone cluster for scripts and notebooks."""

from __future__ import annotations

import html
import time
from collections.abc import Mapping
from typing import Any

from flowrun.kube import coordinators
from flowrun.kube.coordinators import Coordinator
from flowrun.kube.forward import Forward
from flowrun.kube.pods import Pods
from flowrun.objects.applied import Applied
from flowrun.objects.spec import spec_of
from flowrun.problem import Gone, Problem, Unreachable
from flowrun_api.constants import CLUSTERS
from flowrun_api.kinds import TaskClusterSpec
from flowrun_api.kinds.common import FIRST_PORTS, Engine

Raw = dict[str, Any]

_POLL_S = 0.5


class TaskCluster(Applied):
    """A Dask or Ray cluster that stands by itself.

    `with TaskCluster("lab", workers=4).apply() as cluster: client = cluster.get_client()` deletes it at the end.

    Args:
        name: of the object.
        engine: Dask or Ray.
        namespace: None: the kubeconfig's.
        workers: how many, or fields of `spec.workers`.
        spec: other fields of the spec, see docs/api.md.

    Raises:
        ValueError: a field is unknown or wrong.
    """

    _kind, _plural, _had_by = "TaskCluster", CLUSTERS, "TaskCluster.attach"

    def __init__(
        self,
        name: str,
        engine: str = "Dask",
        *,
        namespace: str | None = None,
        workers: int | Mapping[str, Any] = 2,
        **spec: Any,
    ) -> None:
        own = {"replicas": workers} if isinstance(workers, int) else dict(workers)
        super().__init__(name, namespace, spec_of(TaskClusterSpec, {"engine": engine, "workers": own, **spec}))
        self._forwards: dict[int, Forward] = {}

    @classmethod
    def attach(
        cls, name: str, *, namespace: str | None = None, context: str | None = None, kubeconfig: str | None = None
    ) -> TaskCluster:
        """Return a cluster that is there already; leaving a `with` block of it deletes nothing.

        Args:
            name: of the object.
            namespace: None: the kubeconfig's.
            context: of the kubeconfig; None: its current one.
            kubeconfig: path; None: as kubectl finds it.

        Raises:
            Problem: there is no such cluster, or the cluster does not tell.
        """
        cluster = cls._there(name, namespace, context, kubeconfig)
        cluster._forwards = {}
        cluster._uid = ""  # somebody else's: `close` leaves it alone
        return cluster

    def scale(self, workers: int) -> None:
        """Change how many workers the cluster has; 0 parks it, where no pod is left.

        Args:
            workers: how many.

        Raises:
            Problem: the API server refused it.
        """
        self._objects.scale(self.name, workers)

    def wait(self, workers: int = 1, timeout_s: float = 300) -> None:
        """Wait until the coordinator runs and so many workers are registered.

        Args:
            workers: how many.
            timeout_s: longest time.

        Raises:
            TimeoutError: there are not so many; the message says what it waits for.
            Problem: the cluster was deleted, or the API server does not tell.
        """
        until = time.monotonic() + timeout_s
        while not self._has(workers):
            if time.monotonic() > until:
                raise TimeoutError(f"{self.name} has not {workers} workers after {timeout_s:g} s: {self._waits_for()}")
            time.sleep(_POLL_S)

    @property
    def scheduler_address(self) -> str:
        """Where a client reaches the coordinator: its Service from a pod, else a port of this machine that leads there.

        Raises:
            Problem: the cluster has no coordinator now.
        """
        if self._connected.in_cluster:
            port = self._spec.get("port") or FIRST_PORTS[Engine(self._spec["engine"])]
            return f"tcp://{self.name}.{self.namespace}:{port}"
        return f"tcp://{self._way_to(self._coordinator().port)}"

    @property
    def dashboard_link(self) -> str:
        """Where a browser of this machine finds the dashboard.

        Raises:
            Problem: the cluster has no coordinator now, or serves no dashboard.
        """
        found = self._coordinator()
        if not found.dashboard:
            raise Problem(f"{self.name} serves no dashboard: create it with dashboard=True")
        return f"http://{self._way_to(found.http_port)}{found.dashboard_path}"

    def get_client(self, **options: Any) -> Any:
        """Return a `distributed.Client` of a Dask cluster; waits until its scheduler runs.

        Args:
            options: of the client.

        Raises:
            Problem: it is a Ray cluster: its drivers must run beside its nodes, in a pod.
            TimeoutError: there is no scheduler within 300 s.
        """
        if self._spec["engine"] != Engine.DASK:
            raise Problem(f"{self.name} is a Ray cluster: its drivers must run beside its nodes, in a pod")
        self.wait(workers=0)
        from distributed import Client  # noqa: PLC0415 - only who has Dask can ask for it

        return Client(self.scheduler_address, **options)

    def close(self) -> None:
        """Close the ways to it, and delete it if `apply` has created it."""
        for forward in self._forwards.values():
            forward.close()
        self._forwards.clear()
        if self._uid:
            self.delete()

    def delete(self) -> None:
        """Delete the cluster and all that belongs to it.

        Raises:
            Problem: the API server refused it.
        """
        uid, self._uid = self._uid or self._object()["metadata"]["uid"], ""
        self._objects.delete(self.name, uid)

    def __enter__(self) -> TaskCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<TaskCluster {self.name}: {self._words()}>"

    def _repr_html_(self) -> str:
        return f"<b>TaskCluster {html.escape(self.name)}</b><br/>{html.escape(self._words())}"

    def _words(self) -> str:
        if self._connection is None:
            return f"{self._spec['engine']}, not applied"
        try:
            status = self.status
        except Problem as problem:
            return f"{self._spec['engine']}, {problem}"
        workers = f"{status.get('readyReplicas', 0)} of {status.get('replicas', 0)} workers ready"
        ways = "".join(f", {port} at {forward.address}" for port, forward in self._forwards.items())
        return f"{self._spec['engine']}, {workers}{ways}"

    def _has(self, workers: int) -> bool:
        try:
            if int(self.status.get("readyReplicas") or 0) < workers:
                return False
            self._coordinator()
        except (Unreachable, _NoCoordinator):
            return False
        return True

    def _waits_for(self) -> str:
        found = self.status.get("conditions") or []
        return "; ".join(condition["message"] for condition in found if condition.get("message")) or "no pod yet"

    def _coordinator(self) -> Coordinator:
        try:
            return coordinators.standalone(Pods(self._connected), self.name)
        except Gone as gone:
            raise _NoCoordinator(str(gone)) from None

    def _way_to(self, port: int) -> str:
        if port not in self._forwards:
            connection = self._connected
            self._forwards[port] = Forward(connection, lambda: (connection.namespace, self._coordinator().pod), port)
        return self._forwards[port].address


class _NoCoordinator(Problem):
    """It is parked, or starts."""
