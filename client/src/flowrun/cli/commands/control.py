"""Runs that are told to end, to wait, or to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowrun.cli.app import Context, Kubeconfig, Name, Namespace, command, connect, say
from flowrun.cli.show import view
from flowrun.kube import conditions
from flowrun.problem import Problem

if TYPE_CHECKING:
    from flowrun.kube.runs import Runs


@command
def cancel(name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> int:
    """Ask for the end of a run; its tasks stop, and it ends as Cancelled in Prefect too."""
    runs, found = _active(name, "cancel", kubeconfig, context, namespace)
    runs.cancel(_name(found))
    say(f"{view.kind_and_name(found)} is being cancelled; flowrun watch {_name(found)} shows how it ends")
    return 0


@command
def suspend(name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> int:
    """Stop a run for now: nothing of it stays on the cluster, and `flowrun resume` starts its flow anew."""
    runs, found = _active(name, "suspend", kubeconfig, context, namespace)
    runs.patch(_name(found), {"suspend": True}, "suspend")
    say(f"{view.kind_and_name(found)} is being suspended; flowrun resume {_name(found)} goes on")
    return 0


@command
def resume(name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> int:
    """Go on with a suspended run, by another attempt."""
    runs, found = _active(name, "resume", kubeconfig, context, namespace)
    if not found["spec"].get("suspend"):
        raise Problem(f"{_name(found)} is not suspended; flowrun get {_name(found)} says what it does")
    runs.patch(_name(found), {"suspend": False}, "resume")
    say(f"{view.kind_and_name(found)} goes on; flowrun watch {_name(found)} shows how")
    return 0


def _name(run: dict[str, Any]) -> str:
    return str(run["metadata"]["name"])


def _active(
    name: str, what: str, kubeconfig: str | None, context: str | None, namespace: str | None
) -> tuple[Runs, dict[str, Any]]:
    connection = connect(kubeconfig, context, namespace)
    from flowrun.kube.runs import Runs  # noqa: PLC0415 - costs Kubernetes' client

    runs = Runs(connection)
    found = runs.get(name)
    if (result := conditions.result(found)) is not None:
        raise Problem(f"{_name(found)} has ended already ({result.reason}); there is nothing to {what}")
    return runs, found
