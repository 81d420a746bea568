"""Pages that are shown in a browser of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from flowrun.cli import completion
from flowrun.cli.app import Context, Kubeconfig, Namespace, command, connect, say
from flowrun.cli.following.interrupts import EXIT_INTERRUPTED, caught
from flowrun.problem import Gone, Problem, Unreachable

if TYPE_CHECKING:
    from flowrun.kube.connection import Connection
    from flowrun.kube.coordinators import Coordinator
    from flowrun.kube.forward import Forward

Port = Annotated[int, typer.Option(help="Of this machine; 0: any that is free.")]
_LOOK_S = 1.0
_PREFECT_PORT = 4200


@command
def dashboard(
    name: Annotated[
        str, typer.Argument(help="FlowRun or standalone TaskCluster; @latest run.", autocompletion=completion.runs)
    ],
    cluster: Annotated[str | None, typer.Argument(help="Which of the run's clusters; else its only one.")] = None,
    port: Port = 0,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Open the way to a Dask or Ray dashboard, until the run ends or Ctrl-C."""
    connection = connect(kubeconfig, context, namespace)
    from flowrun.kube.forward import Forward  # noqa: PLC0415 - costs Kubernetes' client

    find = finder(connection, name, cluster)
    found = find()
    if not found.dashboard:
        field = "clusters[].dashboard" if found.cluster != name else "dashboard"
        raise Problem(f"cluster {found.cluster} of {name} serves no dashboard: set spec.{field}: true")
    forward = Forward(connection, lambda: (connection.namespace, find().pod), found.http_port, port)
    page = f"http://{forward.address}{found.dashboard_path}"
    say(f"dashboard of {found.cluster} ({found.engine}): {page} (Ctrl-C ends the way)")
    if found.token is not None:
        secret, key = found.token
        show = f"kubectl -n {connection.namespace} get secret {secret} -o jsonpath='{{.data.{key}}}' | base64 -d"
        say(f"it asks for a token: {show}")
    return hold(forward, find)


@command
def ui(
    port: Port = _PREFECT_PORT,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Open the way to the bundled Prefect server's pages and API, until Ctrl-C."""
    connection = connect(kubeconfig, context, None)
    from flowrun.kube.forward import Forward  # noqa: PLC0415 - costs Kubernetes' client
    from flowrun.kube.installation import prefect_server  # noqa: PLC0415

    prefect_server(connection)
    forward = Forward(connection, lambda: prefect_server(connection), _PREFECT_PORT, port)
    say(f"Prefect: http://{forward.address} (Ctrl-C ends the way)")
    say(f"its API: export PREFECT_API_URL=http://{forward.address}/api")
    return hold(forward, lambda: True)


def finder(connection: Connection, name: str, cluster: str | None) -> Callable[[], Coordinator]:
    """Return a function that finds a coordinator as it is now.

    Args:
        connection: to the cluster.
        name: of a FlowRun, or of a standalone TaskCluster.
        cluster: of the run; None: its only one.
    """
    from flowrun.kube import coordinators  # noqa: PLC0415 - costs Kubernetes' client
    from flowrun.kube.pods import Pods  # noqa: PLC0415
    from flowrun.kube.runs import Runs  # noqa: PLC0415

    pods = Pods(connection)
    try:
        run = Runs(connection).get(name)
    except Gone:
        return lambda: coordinators.standalone(pods, name)
    return lambda: coordinators.of_run(pods, run, cluster)


def hold(forward: Forward, is_there: Callable[[], object]) -> int:
    """Keep a way open until Ctrl-C, or until there is nothing any more to which it leads.

    Args:
        forward: the way.
        is_there: returns or raises what became of its other end.
    """
    told = ""
    try:
        with caught() as interrupts:
            while not interrupts.asked:
                interrupts.sleep(_LOOK_S)
                try:
                    is_there()
                except Unreachable:
                    continue  # it is back in a moment, and so are the pages
                except Gone as gone:
                    say(str(gone))
                    return os.EX_OK
                if forward.said != told:
                    told = forward.said
                    say(f"a connection failed: {told}" if told else "connections are made again")
    finally:
        forward.close()
    return EXIT_INTERRUPTED
