"""The commands. What they do is in the modules beside this one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from prefect_flowrun.cli import local, manifests, parameters, view
from prefect_flowrun.cli.driver_log import DriverLog
from prefect_flowrun.cli.follow import Follower
from prefect_flowrun.cli.interrupts import EXIT_INTERRUPTED, caught
from prefect_flowrun.cli.problem import Exists, Problem, Unreachable

if TYPE_CHECKING:
    from prefect_flowrun.cli.cluster import Cluster

EXIT_PROBLEM = 2

app = typer.Typer(
    help="Prefect flows as Kubernetes objects: start, follow and stop FlowRuns.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Text is told as it is: `fd00:a:b` is an address and no emoji, `[head gpu]` no markup.
console = Console(highlight=False, emoji=False, markup=False)
errors = Console(stderr=True, highlight=False, emoji=False, markup=False)

Name = Annotated[str, typer.Argument(help="Name of the FlowRun.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Namespace; else the context's.")]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig; else its current one.")]
Kubeconfig = Annotated[str | None, typer.Option(help="Path of the kubeconfig; else KUBECONFIG's, else ~/.kube/config.")]
Everything = Annotated[bool, typer.Option("--all", help="Also the lines of Dask schedulers and Ray heads.")]


def command(function: Callable[..., int]) -> Callable[..., int]:
    """Register a command whose problems are told in one line and whose return value is the exit code."""

    @wraps(function)
    def run(*args: Any, **options: Any) -> None:
        try:
            code = function(*args, **options)
        except Problem as problem:
            errors.print(f"flowrun: {problem}", style="red", soft_wrap=True)
            code = EXIT_PROBLEM
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED
        raise typer.Exit(code)

    app.command(function.__name__.removesuffix("_"))(run)
    return function


@command
def run(
    file: Annotated[
        str, typer.Argument(help="Manifest with one FlowRun and what it needs (- is standard input), or file.py:flow.")
    ],
    name: Annotated[str | None, typer.Option(help="Another name for the run.")] = None,
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="Flow parameter, NAME=VALUE.")] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Start it, and do not follow it.")] = False,
    replace: Annotated[bool, typer.Option(help="Delete an ended run of the same name first.")] = False,
    local_: Annotated[bool, typer.Option("--local", help="On this machine, without Kubernetes.")] = False,
    engine: Annotated[str, typer.Option(help="Of a file.py:flow: dask, ray or none.")] = "dask",
    workers: Annotated[int, typer.Option(min=1, help="Of a file.py:flow.")] = local.WORKERS,
    threads: Annotated[int, typer.Option(min=1, help="Of a worker: tasks at a time.")] = 1,
    everything: Everything = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Start a run and follow it to its end. Ctrl-C cancels it.

    Ends with 0 if the flow completed, 1 if it did not, 130 if it was cancelled by Ctrl-C.
    """
    code = None
    if local.is_entrypoint(file):
        if not local_:
            raise Problem(f"{file} is no manifest; add --local to run it on this machine")
        found, code = local.of_file(file, local.Size(engine.lower(), workers, threads))
    else:
        found = manifests.read(file)
    if name:
        manifests.rename(found.flow_run, name)
    parameters.set_parameters(found.flow_run, param or [])
    parameters.check(found.flow_run)
    if local_ and detach:
        raise Problem("--detach: a run on this machine ends with the command")
    if local_:
        return _run_here(found, code, everything=everything)
    cluster = connect(kubeconfig, context, manifests.namespace(found.flow_run, namespace))
    for manifest in found.others:
        cluster.apply(manifest)
    with caught() as interrupts:  # from here on there may be a run to cancel
        created = _create(cluster, found.flow_run, replace)
        console.print(f"{_kind_and_name(created)} created")
        if detach and not interrupts.asked:
            return 0
        log = _log(cluster, created, everything=everything)
        return Follower(cluster, created, log, console, interrupts, cancels=True).until_end()


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
    cluster = connect(kubeconfig, context, namespace)
    with caught() as interrupts:
        found = cluster.get(name)
        log = _log(cluster, found, everything=everything)
        return Follower(cluster, found, log, console, interrupts, cancels=False).until_end()


@command
def cancel(name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> int:
    """Ask for the end of a run; its tasks stop, and it ends as Cancelled in Prefect too."""
    cluster = connect(kubeconfig, context, namespace)
    found = cluster.get(name)
    if (result := view.result(found)) is not None:
        raise Problem(f"{name} has ended already ({result.reason}); there is nothing to cancel")
    cluster.cancel(name)
    console.print(f"{_kind_and_name(found)} is being cancelled; flowrun watch {name} shows how it ends")
    return 0


@command
def logs(
    name: Name,
    everything: Everything = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Print the drivers' logs of a run; of an active one until its attempt ends."""
    cluster = connect(kubeconfig, context, namespace)
    found = cluster.get(name)

    if not _log(cluster, found, everything=everything).read_to_end():
        raise Problem(f"{name} has no driver (any more), and so no log; what Prefect has of it stays there")
    return 0


@command
def list_(
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """List the runs, the newest last."""
    runs = connect(kubeconfig, context, namespace).runs(everywhere=everywhere)
    runs.sort(key=lambda item: str(item["metadata"]["creationTimestamp"]))
    for line in view.table(runs, datetime.now(UTC)):
        console.print(line, soft_wrap=True)
    return 0


def connect(kubeconfig: str | None, context: str | None, namespace: str | None) -> Cluster:
    """Return the cluster that a command is for; see `cli.cluster.connect`."""
    # Brings Kubernetes' client, which takes longer to import than all of the rest.
    from prefect_flowrun.cli import cluster  # noqa: PLC0415

    return cluster.connect(kubeconfig, context, namespace)


def _run_here(found: manifests.Manifests, folder: Path | None, *, everything: bool) -> int:
    with caught() as interrupts, local.started(found, folder, _say, everything=everything) as (run, as_object):
        code = Follower(run, as_object, local.NoLog(), console, interrupts, cancels=True).until_end()
        own_server = run.has_own_server
    if own_server:
        console.print(
            "Prefect's record of it is kept: `prefect server start` shows it at http://127.0.0.1:4200",
            style="dim",
            soft_wrap=True,
        )
    return code


def _say(line: str) -> None:
    console.print(line, soft_wrap=True)


def _log(cluster: Cluster, run: dict[str, Any], *, everything: bool) -> DriverLog:
    return DriverLog(cluster, run["metadata"]["uid"], _say, everything=everything)


def _create(cluster: Cluster, flow_run: dict[str, Any], replace: bool) -> dict[str, Any]:
    try:
        return cluster.create(flow_run)
    except (Unreachable, KeyboardInterrupt) as interruption:
        raise Problem(f"{interruption or 'interrupted'}; the run may be there all the same: flowrun list") from None
    except Exists as problem:
        name = flow_run["metadata"]["name"]
        if not replace:
            raise Problem(f"{problem}; give it another with --name, or --replace it") from problem
    earlier = cluster.get(name)
    if view.result(earlier) is None:
        raise Problem(f"{name} has not ended yet; flowrun cancel {name} first")
    cluster.delete(name, earlier["metadata"]["uid"])
    return cluster.create(flow_run)


def _kind_and_name(run: dict[str, Any]) -> str:
    return f"{view.KIND}/{run['metadata']['name']}"
