"""The command itself: how commands are registered, what they share, and how problems are told."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowrun.cli import completion
from flowrun.cli.following.interrupts import EXIT_INTERRUPTED
from flowrun.cli.show.console import console
from flowrun.problem import Problem

if TYPE_CHECKING:
    from flowrun.kube.connection import Connection

EXIT_PROBLEM = 2
_HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    help="Prefect flows as Kubernetes objects: start, follow and stop FlowRuns.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=_HELP,
)
clusters = typer.Typer(
    help="Clusters that stand by themselves, for notebooks and several flows.",
    no_args_is_help=True,
    context_settings=_HELP,
)
out = console()
errors = console(stderr=True)

Name = Annotated[str, typer.Argument(help="Name of the FlowRun; @latest.", autocompletion=completion.runs)]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Namespace; else the context's.")]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig; else its current one.")]
Kubeconfig = Annotated[str | None, typer.Option(help="Path of the kubeconfig; else KUBECONFIG's, else ~/.kube/config.")]
Everything = Annotated[bool, typer.Option("--all", help="Also the lines of Dask schedulers and Ray heads.")]
Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")]
Selector = Annotated[str, typer.Option("--selector", "-l", help="Labels, such as team=data.")]


def command(function: Callable[..., int], to: typer.Typer = app) -> Callable[..., int]:
    """Register a command whose problems are told in one line and whose return value is the exit code.

    Args:
        function: the command, named as it is typed; `_` at its end is left out.
        to: the command that it belongs to.
    """

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

    to.command(function.__name__.removesuffix("_"))(run)
    return function


def of_clusters(function: Callable[..., int]) -> Callable[..., int]:
    """Register a command of `flowrun cluster`, as `command` does."""
    return command(function, clusters)


def say(line: str) -> None:
    """Print a line, however long."""
    out.print(line, soft_wrap=True)


def connect(kubeconfig: str | None, context: str | None, namespace: str | None) -> Connection:
    """Return the way to the cluster that a command is for; see `cli.kube.connection.connect`."""
    # Brings Kubernetes' client, which takes longer to import than all of the rest.
    from flowrun.kube import connection  # noqa: PLC0415

    return connection.connect(kubeconfig, context, namespace)
