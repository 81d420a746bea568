"""A FlowRun for scripts and notebooks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from flowrun.kube import conditions
from flowrun.kube.conditions import Result
from flowrun.kube.pods import Pods
from flowrun.kube.runs import Runs
from flowrun.objects.applied import Applied
from flowrun.objects.spec import spec_of
from flowrun.problem import Problem, Unreachable
from flowrun_api.constants import RUNS
from flowrun_api.kinds import FlowRunSpec

Raw = dict[str, Any]

_POLL_S = 0.5


class RunFailed(Exception):  # noqa: N818 - it is the run that did
    """A run has ended otherwise than by completing its flow.

    Args:
        name: of the run.
        result: how it has ended.
    """

    def __init__(self, name: str, result: Result) -> None:
        super().__init__(f"{name}: {result}")
        self.result = result


class FlowRun(Applied):
    """One run of a Prefect flow on a cluster.

    `FlowRun("etl", flow={"entrypoint": "etl.py:etl"}, clusters=[{"name": "default", "engine": "Dask"}]).apply().wait()`

    Args:
        name: of the object.
        namespace: None: the kubeconfig's.
        labels: of the object.
        spec: fields of the spec, see docs/api.md; names as in YAML or in Python's way.

    Raises:
        ValueError: a field is missing, unknown or wrong.
    """

    _kind, _plural, _had_by = "FlowRun", RUNS, "FlowRun.get"

    def __init__(
        self, name: str, *, namespace: str | None = None, labels: Mapping[str, str] | None = None, **spec: Any
    ) -> None:
        super().__init__(name, namespace, spec_of(FlowRunSpec, spec), labels)

    @classmethod
    def get(
        cls, name: str, *, namespace: str | None = None, context: str | None = None, kubeconfig: str | None = None
    ) -> FlowRun:
        """Return a run that is there already.

        Args:
            name: of the object; `@latest` is the one that was created last.
            namespace: None: the kubeconfig's.
            context: of the kubeconfig; None: its current one.
            kubeconfig: path; None: as kubectl finds it.

        Raises:
            Problem: there is no such run, or the cluster does not tell.
        """
        return cls._there(name, namespace, context, kubeconfig)

    def wait(self, timeout_s: float | None = None, *, check: bool = True) -> Result:
        """Wait for the run's end; while the API server does not answer, longer.

        Args:
            timeout_s: longest time; None: for ever.
            check: raise if the flow did not complete.

        Raises:
            RunFailed: it did not complete.
            TimeoutError: it goes on.
            Problem: the run was deleted, or the cluster does not tell.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while (result := self._look()) is None:
            if until is not None and time.monotonic() > until:
                raise TimeoutError(f"{self.name} has not ended after {timeout_s:g} s")
            time.sleep(_POLL_S)
        if check and not result.succeeded:
            raise RunFailed(self.name, result)
        return result

    @property
    def result(self) -> Result | None:
        """How the run has ended, None while it has not.

        Raises:
            Problem: the run was deleted, or the cluster does not tell.
        """
        return conditions.result(self._object())

    def cancel(self) -> None:
        """Ask for the run's end.

        Raises:
            Problem: the cluster refused it.
        """
        self._runs.cancel(self.name)

    def suspend(self) -> None:
        """Stop the run for now, so that nothing of it stays on the cluster.

        Raises:
            Problem: the cluster refused it.
        """
        self._runs.patch(self.name, {"suspend": True}, "suspend")

    def resume(self) -> None:
        """Go on with a suspended run, by another attempt.

        Raises:
            Problem: the cluster refused it.
        """
        self._runs.patch(self.name, {"suspend": False}, "resume")

    def delete(self) -> None:
        """Delete the run and all that belongs to it.

        Raises:
            Problem: the cluster refused it.
        """
        self._runs.delete(self.name, self._uid)

    def logs(self) -> Iterator[str]:
        """Read what the run's drivers have written so far, attempt after attempt.

        Raises:
            Problem: the cluster does not give it.
        """
        pods = Pods(self._connected)
        for pod in pods.drivers(self._uid):
            yield from (line for _, line in pods.log(pod["metadata"]["name"], follow=False))

    def __repr__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"<FlowRun {self.name}{where}: {self._spec['flow']['entrypoint']}>"

    def _look(self) -> Result | None:
        try:
            return self.result
        except Unreachable:
            return None

    def _object(self) -> Raw:
        found = super()._object()
        if found["metadata"]["uid"] != self._uid:
            raise Problem(f"{self.name} was deleted, and there is another run of its name")
        return found

    @property
    def _runs(self) -> Runs:
        return Runs(self._connected)
