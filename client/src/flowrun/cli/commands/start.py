"""Runs that begin: from a file, from a function, or once more."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from flowrun.cli import local
from flowrun.cli.app import (
    Context,
    Everything,
    Kubeconfig,
    Name,
    Namespace,
    command,
    connect,
    out,
    say,
)
from flowrun.cli.commands.follow import follow_run
from flowrun.cli.files import code_folder, flow_file, manifests, parameters
from flowrun.cli.files import rerun as rerun_
from flowrun.cli.files.flow_file import FlowFile, Options
from flowrun.cli.following.follower import Follower
from flowrun.cli.following.interrupts import caught
from flowrun.cli.show import view
from flowrun.kube import conditions
from flowrun.problem import Exists, Gone, Problem, Uncertain, Unreachable

if TYPE_CHECKING:
    from flowrun.cli.following.interrupts import Interrupts
    from flowrun.kube.connection import Connection
    from flowrun.kube.runs import Runs

_OF_A_FILE = "Of a file.py:flow."
Parameters = Annotated[list[str] | None, typer.Option("--param", "-p", help="Flow parameter, NAME=VALUE.")]
Detach = Annotated[bool, typer.Option("--detach", "-d", help="Start it, and do not follow it.")]


@command
def run(
    file: Annotated[
        str, typer.Argument(help="Manifest with one FlowRun and what it needs (- is standard input), or file.py:flow.")
    ],
    name: Annotated[str | None, typer.Option(help="Another name for the run.")] = None,
    param: Parameters = None,
    detach: Detach = False,
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
    found, flow = read_run(file, options, name, param or [])
    if local_ and not dry_run:
        if detach:
            raise Problem("--detach: a run on this machine ends with the command")
        return _run_here(found, flow.folder if flow else None, everything=everything)
    code = add_code(found, flow) if flow else None
    if dry_run:
        _print_manifests(found)
        return 0
    connection = connect(kubeconfig, context, manifests.namespace(found.flow_run, namespace))
    runs = _runs(connection)
    for manifest in found.others:
        runs.apply(manifest)
    with caught() as interrupts:  # from here on there may be a run to cancel
        created = create_with(code, runs, found.flow_run, replace=replace)
        return _follow(connection, runs, created, interrupts, detach=detach, everything=everything)


@command
def rerun(
    name: Name,
    param: Parameters = None,
    detach: Detach = False,
    everything: Everything = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Run once more what an earlier run did, under a name of its own, with its parameters or others.

    Ends as `flowrun run` does.
    """
    connection = connect(kubeconfig, context, namespace)
    runs = _runs(connection)
    earlier = runs.get(name)
    again = rerun_.manifest(earlier)
    parameters.set_parameters(again, param or [])
    parameters.check(again)
    code = _code_of(earlier, runs)
    with caught() as interrupts:
        created = create_with(code, runs, again, replace=False, drops=False)
        return _follow(connection, runs, created, interrupts, detach=detach, everything=everything)


def _code_of(run: dict[str, Any], runs: Runs) -> str | None:
    """Return the ConfigMap with the run's code if it would go with the run; None for one that stays by itself."""
    config_map: str | None = (run["spec"]["flow"].get("source") or {}).get("configMap")
    if config_map is None:
        return None
    try:
        owners = runs.owners_of_config_map(config_map)
    except Gone:
        raise Problem(f"its code, the ConfigMap {config_map}, is gone: flowrun run FILE") from None
    return config_map if run["metadata"]["uid"] in owners else None


def _runs(connection: Connection) -> Runs:
    from flowrun.kube.runs import Runs  # noqa: PLC0415 - costs Kubernetes' client

    return Runs(connection)


def _follow(
    connection: Connection,
    runs: Runs,
    created: dict[str, Any],
    interrupts: Interrupts,
    *,
    detach: bool,
    everything: bool,
) -> int:
    say(f"{view.kind_and_name(created)} created")
    if detach and not interrupts.asked:
        return 0
    return follow_run(connection, runs, created, interrupts, everything=everything, cancels=True)


def read_run(
    file: str, options: Options, name: str | None, assignments: Sequence[str], *, checks: bool = True
) -> tuple[manifests.Manifests, FlowFile | None]:
    """Return what is to be run, and the flow's file where there is no manifest.

    Args:
        file: of the manifest, or `file.py:function`.
        options: of the command line, for a function.
        name: of the run; None: the file's, or one of its own.
        assignments: parameters, `NAME=VALUE`.
        checks: whether parameters are compared with the function's signature.

    Raises:
        Problem: it can't be run like that.
    """
    flow = flow_file.parse(file)
    if flow is None and options.given:
        raise Problem(f"{options.given[0]}: only with file.py:function; here the manifest says it")
    found = flow_file.manifest(flow, options) if flow is not None else manifests.read(file)
    if name:
        manifests.rename(found.flow_run, name)
    parameters.set_parameters(found.flow_run, assignments)
    if checks:
        parameters.check(found.flow_run)
    if checks and flow is not None:
        flow_file.check_parameters(flow, found.flow_run["spec"]["flow"].get("parameters") or {})
    return found, flow


def add_code(found: manifests.Manifests, flow: FlowFile) -> str:
    """Add a ConfigMap with the flow's folder, and return its name.

    Raises:
        Problem: the folder is too large, or can't be read.
    """
    # Of this run alone, also if there is one of the same name already.
    name = f"{found.flow_run['metadata']['name']}-code-{secrets.token_hex(3)}"
    found.others.append(code_folder.config_map(name, flow.folder))
    found.flow_run["spec"]["flow"]["source"] = {"configMap": name}
    return name


def _print_manifests(found: manifests.Manifests) -> None:
    text = yaml.safe_dump_all([*found.others, found.flow_run], sort_keys=False, allow_unicode=True)
    out.print(text, soft_wrap=True, end="")


def _run_here(found: manifests.Manifests, folder: Path | None, *, everything: bool) -> int:
    with caught() as interrupts, local.started(found, folder, say, everything=everything) as (run, as_object):
        code = Follower(run, as_object, local.NoLog(), out, interrupts, cancels=True).until_end()
        own_server = run.has_own_server
    if own_server:
        out.print(
            "Prefect's record of it is kept: `prefect server start` shows it at http://127.0.0.1:4200",
            style="dim",
            soft_wrap=True,
        )
    return code


def create_with(
    code: str | None, cluster: Runs, flow_run: dict[str, Any], *, replace: bool, drops: bool = True
) -> dict[str, Any]:
    """Create a run, with which the ConfigMap with its code goes.

    Args:
        code: name of the ConfigMap; None: it stays by itself.
        cluster: where the run shall be.
        flow_run: the run.
        replace: delete an ended run of its name.
        drops: without a run the ConfigMap does not stay.

    Raises:
        Uncertain: whether there is a run is not known.
        Problem: there is none.
    """
    if code is None:
        return _create(cluster, flow_run, replace)
    try:
        created = _create(cluster, flow_run, replace)
    except Uncertain:
        raise
    except Problem:
        if drops:
            cluster.drop(code)
        raise
    try:
        cluster.give(code, created)
    except Problem as problem:
        out.print(f"{problem}; it stays when the run is deleted", style="dim", soft_wrap=True)
    return created


def _create(cluster: Runs, flow_run: dict[str, Any], replace: bool) -> dict[str, Any]:
    try:
        return cluster.create(flow_run)
    except (Unreachable, KeyboardInterrupt) as interruption:
        raise Uncertain(f"{interruption or 'interrupted'}; the run may be there all the same: flowrun list") from None
    except Exists as problem:
        name = flow_run["metadata"]["name"]
        if not replace:
            raise Problem(f"{problem}; give it another with --name, or --replace it") from problem
    earlier = cluster.get(name)
    if conditions.result(earlier) is None:
        raise Problem(f"{name} has not ended yet; flowrun cancel {name} first")
    cluster.delete(name, earlier["metadata"]["uid"])
    return cluster.create(flow_run)
