"""What somebody who helps will ask for."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from flowrun.cli.app import Context, Kubeconfig, Name, Namespace, command, connect, say
from flowrun.cli.checks.finding import problem_as_note
from flowrun.cli.files.redaction import redacted
from flowrun.problem import Problem
from flowrun.version import __version__

if TYPE_CHECKING:
    from flowrun.kube.connection import Connection

Raw = dict[str, Any]


@command
def report(
    name: Name,
    out: Annotated[Path | None, typer.Option(help="File; else flowrun-report-NAME.tar.gz.")] = None,
    logs: Annotated[
        bool, typer.Option("--logs", help="With the driver's log, which may hold what it should not.")
    ] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Put what is known of a run into an archive for an issue, without values of parameters and variables."""
    connection = connect(kubeconfig, context, namespace)
    from flowrun.cli.files.bundle import write  # noqa: PLC0415 - beside the one use
    from flowrun.kube.runs import Runs  # noqa: PLC0415 - costs Kubernetes' client

    run = Runs(connection).get(name)
    file = out or Path(f"flowrun-report-{run['metadata']['name']}.tar.gz")
    entries = list(_entries(connection, run, logs=logs))
    write(file, entries)
    say(f"{file}: {', '.join(each for each, _ in entries)}. Look through it before you give it away")
    return 0


def _entries(connection: Connection, run: Raw, *, logs: bool) -> Iterator[tuple[str, str]]:
    from flowrun.cli.checks import installation  # noqa: PLC0415 - costs Kubernetes' client
    from flowrun.kube.custom_objects import Objects  # noqa: PLC0415
    from flowrun.kube.installation import operators  # noqa: PLC0415
    from flowrun.kube.pods import Pods  # noqa: PLC0415
    from flowrun_api.constants import CLUSTERS, LABEL_RUN  # noqa: PLC0415

    pods = Pods(connection)
    yield "flowrun.yaml", _yaml([run])
    selector = f"{LABEL_RUN}={run['metadata']['name']}"
    yield "taskclusters.yaml", _told(lambda: Objects(connection, CLUSTERS).all(selector=selector))
    yield "pods.yaml", _told(lambda: pods.of_run(run))
    yield "events.yaml", _told(lambda: pods.events(run["metadata"]["name"]))
    found = [
        *problem_as_note(lambda: installation.api(connection), "the cluster"),
        *problem_as_note(lambda: installation.operator(operators(connection), __version__), "the operator"),
        *problem_as_note(lambda: installation.quotas(connection), "quotas"),
    ]
    about = [f"flowrun {__version__}, Python {platform.python_version()}, {platform.system()}", *map(str, found)]
    yield "about.txt", "\n".join(about) + "\n"
    for pod in pods.drivers(run["metadata"]["uid"]) if logs else []:
        name = pod["metadata"]["name"]
        try:
            yield f"{name}.log", "".join(f"{at} {line}\n" for at, line in pods.log(name, follow=False))
        except Problem as problem:
            yield f"{name}.log", f"{problem}\n"


def _told(look: Any) -> str:
    try:
        return _yaml(look())
    except Problem as problem:
        return f"# {problem}\n"


def _yaml(items: list[Raw]) -> str:
    return yaml.safe_dump_all([redacted(item) for item in items], sort_keys=False, allow_unicode=True)


@command
def version(
    client_only: Annotated[bool, typer.Option("--client", help="Without asking a cluster.")] = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Show the versions of this command and of the operator, and whether they go together."""
    say(f"flowrun {__version__}")
    if client_only:
        return 0
    connection = connect(kubeconfig, context, None)
    from flowrun.kube.installation import operators  # noqa: PLC0415 - costs Kubernetes' client

    found = operators(connection)
    for each in found:
        skew = "" if each.version in {"", __version__} else " (another version than this command's)"
        say(f"operator {each.version or 'of unknown version'} in namespace {each.namespace}{skew}")
    if not found:
        say("there is no operator on this cluster: flowrun doctor")
    return 0
