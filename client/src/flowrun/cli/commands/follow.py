"""Runs that go on elsewhere: followed to their end, or read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowrun.cli.app import Context, Everything, Kubeconfig, Name, Namespace, command, connect, out, say
from flowrun.cli.following.driver_log import DriverLog
from flowrun.cli.following.follower import Follower
from flowrun.cli.following.interrupts import caught
from flowrun.cli.following.many_logs import ManyLogs
from flowrun.cli.following.pod_log import Window
from flowrun.cli.following.sinks import Files, Lines
from flowrun.cli.show.table import seconds
from flowrun.kube import conditions
from flowrun.kube.container_state import Chosen
from flowrun.problem import Gone, Problem, Unreachable

if TYPE_CHECKING:
    from flowrun.cli.following.interrupts import Interrupts
    from flowrun.kube.connection import Connection
    from flowrun.kube.runs import Runs

Raw = dict[str, Any]


@command
def watch(
    name: Name,
    everything: Everything = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Follow a run to its end. Ctrl-C ends only the command, never the run.

    Ends as `flowrun run` does.
    """
    connection = connect(kubeconfig, context, namespace)
    from flowrun.kube.runs import Runs  # noqa: PLC0415 - costs Kubernetes' client

    runs = Runs(connection)
    with caught() as interrupts:
        found = runs.get(name)
        return follow_run(connection, runs, found, interrupts, everything=everything, cancels=False)


def follow_run(
    connection: Connection, runs: Runs, run: Raw, interrupts: Interrupts, *, everything: bool, cancels: bool
) -> int:
    """Follow a run to its end, with its driver's lines, and return the exit code.

    Args:
        connection: to the cluster.
        runs: of the cluster.
        run: the FlowRun.
        interrupts: Ctrl-C.
        everything: the lines of schedulers and heads too.
        cancels: Ctrl-C cancels the run; else it only ends the command.
    """
    from flowrun.kube.pods import Pods  # noqa: PLC0415 - costs Kubernetes' client

    log = DriverLog(Pods(connection), run["metadata"]["uid"], say, everything=everything)
    return Follower(runs, run, log, out, interrupts, cancels=cancels).until_end()


@command
def logs(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    workers: Annotated[bool, typer.Option("--workers", help="Of the workers instead of the driver.")] = False,
    worker: Annotated[list[str] | None, typer.Option(help="Of this worker: its number, or its pod.")] = None,
    cluster: Annotated[str, typer.Option(help="Of the workers of this cluster.")] = "",
    attempt: Annotated[int | None, typer.Option(min=1, help="Of this attempt; else of all.")] = None,
    tail: Annotated[int | None, typer.Option(min=0, help="The last so many lines of each pod.")] = None,
    since: Annotated[str, typer.Option(help="Lines of the last 90s, 10m, 2h.")] = "",
    out_dir: Annotated[
        Path | None, typer.Option(help="A file for each pod, driver and workers, in this folder.")
    ] = None,
    everything: Everything = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Print what a run's driver, or its workers, have written.

    Workers are deleted with their run, and their lines with them: follow those of a run that is active.
    """
    window = Window(seconds(since) if since else None, tail)
    connection = connect(kubeconfig, context, namespace)
    from flowrun.kube.pods import Pods  # noqa: PLC0415 - costs Kubernetes' client
    from flowrun.kube.runs import Runs  # noqa: PLC0415

    runs, pods = Runs(connection), Pods(connection)
    found = runs.get(name)
    of_workers = bool(workers or worker or cluster)
    chosen = Chosen(
        drivers=not of_workers, workers=of_workers or out_dir is not None,
        names=frozenset(worker or ()), cluster=cluster, attempt=attempt,
    )  # fmt: skip
    sink = (
        Files(out_dir) if out_dir else Lines(say, found["metadata"]["name"], prefixed=of_workers, everything=everything)
    )
    many = ManyLogs(pods, lambda: [pod for pod in pods.of_run(found) if chosen.has(pod)], sink.take, window)
    with sink:
        any_there = many.follow(lambda: _is_over(runs, found)) if follow else many.read()
    if not any_there:
        raise Problem(_nothing(found, of_workers=of_workers))
    return 0


def _is_over(runs: Any, run: Raw) -> bool:
    try:
        now = runs.get(run["metadata"]["name"])
    except Gone:
        return True
    except Unreachable:
        return False
    return now["metadata"]["uid"] != run["metadata"]["uid"] or conditions.result(now) is not None


def _nothing(run: Raw, *, of_workers: bool) -> str:
    name = run["metadata"]["name"]
    if not of_workers:
        return f"{name} has no driver (any more), and so no log; what Prefect has of it stays there"
    if conditions.result(run) is None:
        return f"{name} has no such workers now: flowrun get {name}; with --follow they are waited for"
    return f"{name} has ended, and its workers are gone with it; their tasks' log lines are in Prefect"
