"""The commands. What they do is in the modules beside this one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Console

from prefect_flowrun.cli import code_folder, flow_file, local, manifests, parameters, view
from prefect_flowrun.cli.driver_log import DriverLog
from prefect_flowrun.cli.flow_file import FlowFile, Options
from prefect_flowrun.cli.follow import Follower
from prefect_flowrun.cli.interrupts import EXIT_INTERRUPTED, caught
from prefect_flowrun.cli.problem import Exists, Problem, Uncertain, Unreachable

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
_OF_A_FILE = "Of a file.py:flow."
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the manifests, and start nothing.")] = False,
    engine: Annotated[str | None, typer.Option(help=f"dask, ray or none. {_OF_A_FILE}")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help=f"How many. {_OF_A_FILE}")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help=f"Tasks at a time on a worker. {_OF_A_FILE}")] = None,
    image: Annotated[str | None, typer.Option(help=f"Of driver and workers. {_OF_A_FILE}")] = None,
    cpu: Annotated[str | None, typer.Option(help=f"That each worker asks for. {_OF_A_FILE}")] = None,
    memory: Annotated[str | None, typer.Option(help=f"That each worker may have. {_OF_A_FILE}")] = None,
    env: Annotated[list[str] | None, typer.Option(help=f"NAME=VALUE. {_OF_A_FILE}")] = None,
    on_demand: Annotated[bool, typer.Option("--on-demand", help=f"Workers only in use. {_OF_A_FILE}")] = False,
    everything: Everything = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Start a run and follow it to its end. Ctrl-C cancels it.

    Ends with 0 if the flow completed, 1 if it did not, 130 if it was cancelled by Ctrl-C.
    """
    options = Options(engine, workers, threads, image, cpu, memory, tuple(env or ()), on_demand)
    found, flow = _read(file, options, name, param or [])
    if local_ and not dry_run:
        if detach:
            raise Problem("--detach: a run on this machine ends with the command")
        return _run_here(found, flow.folder if flow else None, everything=everything)
    code = _add_code(found, flow) if flow else None
    if dry_run:
        _print_manifests(found)
        return 0
    cluster = connect(kubeconfig, context, manifests.namespace(found.flow_run, namespace))
    for manifest in found.others:
        cluster.apply(manifest)
    with caught() as interrupts:  # from here on there may be a run to cancel
        created = _create_with(code, cluster, found.flow_run, replace)
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


def _read(
    file: str, options: Options, name: str | None, assignments: Sequence[str]
) -> tuple[manifests.Manifests, FlowFile | None]:
    """Return what is to be run, and the flow's file where there is no manifest."""
    flow = flow_file.parse(file)
    if flow is None and options.given:
        raise Problem(f"{options.given[0]}: only with file.py:function; here the manifest says it")
    found = flow_file.manifest(flow, options) if flow is not None else manifests.read(file)
    if name:
        manifests.rename(found.flow_run, name)
    parameters.set_parameters(found.flow_run, assignments)
    parameters.check(found.flow_run)
    if flow is not None:
        flow_file.check_parameters(flow, found.flow_run["spec"]["flow"].get("parameters") or {})
    return found, flow


def _add_code(found: manifests.Manifests, flow: FlowFile) -> str:
    """Add a ConfigMap with the flow's folder, and return its name."""
    # Of this run alone, also if there is one of the same name already.
    name = f"{found.flow_run['metadata']['name']}-code-{secrets.token_hex(3)}"
    found.others.append(code_folder.config_map(name, flow.folder))
    found.flow_run["spec"]["flow"]["source"] = {"configMap": name}
    return name


def _print_manifests(found: manifests.Manifests) -> None:
    text = yaml.safe_dump_all([*found.others, found.flow_run], sort_keys=False, allow_unicode=True)
    console.print(text, soft_wrap=True, end="")


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


def _create_with(code: str | None, cluster: Cluster, flow_run: dict[str, Any], replace: bool) -> dict[str, Any]:
    """Create a run, with which the ConfigMap with its code goes; without a run it does not stay."""
    if code is None:
        return _create(cluster, flow_run, replace)
    try:
        created = _create(cluster, flow_run, replace)
    except Uncertain:
        raise
    except Problem:
        cluster.drop(code)
        raise
    try:
        cluster.give(code, created)
    except Problem as problem:
        console.print(f"{problem}; it stays when the run is deleted", style="dim", soft_wrap=True)
    return created


def _create(cluster: Cluster, flow_run: dict[str, Any], replace: bool) -> dict[str, Any]:
    try:
        return cluster.create(flow_run)
    except (Unreachable, KeyboardInterrupt) as interruption:
        raise Uncertain(f"{interruption or 'interrupted'}; the run may be there all the same: flowrun list") from None
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
