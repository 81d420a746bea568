"""Runs that are looked at: one whole, or many as a table."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from flowrun.cli.app import (
    Context,
    Everywhere,
    Kubeconfig,
    Name,
    Namespace,
    Selector,
    command,
    connect,
    say,
)
from flowrun.cli.show import view
from flowrun.cli.show.describe import describe
from flowrun.cli.show.table import Wanted, keeps, lines, seconds

if TYPE_CHECKING:
    from flowrun.kube.custom_objects import Objects

Raw = dict[str, Any]

_WATCH_S = 2.0


class Output(StrEnum):
    """How objects are printed."""

    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


As = Annotated[Output | None, typer.Option("--output", "-o", help="wide, json, yaml or name.")]


@command
def get(
    name: Name,
    output: As = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Show all that is known of a run: attempts, clusters, pods, conditions, and what to type next."""
    connection = connect(kubeconfig, context, namespace)
    from flowrun.kube.pods import Pods  # noqa: PLC0415 - costs Kubernetes' client
    from flowrun.kube.runs import Runs  # noqa: PLC0415

    found = Runs(connection).get(name)
    if output in {None, Output.WIDE}:
        for line in describe(found, Pods(connection).of_run(found), view.now()):
            say(line)
    else:
        _print_objects([found], output, one=True)
    return 0


@command
def list_(
    state: Annotated[list[str] | None, typer.Option(help="Running, Failed, ...; may be repeated.")] = None,
    since: Annotated[str, typer.Option(help="Created in the last 90s, 10m, 2h, 1d.")] = "",
    selector: Selector = "",
    output: As = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Print what changes, until Ctrl-C.")] = False,
    everywhere: Everywhere = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """List the runs, the newest last."""
    states = frozenset(each.lower() for each in state or ())
    wanted = Wanted(states, seconds(since) if since else None, output is Output.WIDE, everywhere)
    connection = connect(kubeconfig, context, namespace)
    from flowrun.kube.runs import Runs  # noqa: PLC0415 - costs Kubernetes' client

    runs = Runs(connection)
    if output in {None, Output.WIDE}:
        show_table(runs, wanted, selector, watch=watch)
        return 0
    found = filter(keeps(wanted, view.now()), runs.all(everywhere=everywhere, selector=selector))
    _print_objects(sorted(found, key=lambda run: str(run["metadata"]["creationTimestamp"])), output, one=False)
    return 0


def show_table(objects: Objects, wanted: Wanted, selector: str, *, watch: bool) -> None:
    """Print objects as the server's table, and with `watch` each line anew that has changed.

    Args:
        objects: of which kind.
        wanted: which rows and columns.
        selector: of labels; empty: whatever they have.
        watch: go on until Ctrl-C.
    """
    told: set[str] = set()
    while True:
        table = objects.table(everywhere=wanted.everywhere, selector=selector)
        rows = lines(table, wanted, view.now())
        if len(rows) == 1 and not told:
            where = "in any namespace" if wanted.everywhere else f"in namespace {objects.namespace}"
            say(f"no {objects.kind} {where} that fit" if wanted.states or wanted.since_s or selector
                else f"no {objects.kind} {where}")  # fmt: skip
        elif not watch:
            for row in rows:
                say(row)
        if not watch:
            return
        # Without the age, which changes by itself.
        for row in rows:
            if (known := row.rpartition("  ")[0]) not in told:
                told.add(known)
                say(row)
        time.sleep(_WATCH_S)


def _print_objects(objects: list[Raw], output: Output | None, *, one: bool) -> None:
    for item in objects:
        item["metadata"].pop("managedFields", None)
    if output is Output.NAME:
        for item in objects:
            say(view.kind_and_name(item))
        return
    whole: Raw = objects[0] if one else {"apiVersion": "v1", "kind": "List", "items": objects}
    text = (
        yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)
        if output is Output.YAML
        else json.dumps(whole, indent=2)
    )
    say(text.rstrip())
