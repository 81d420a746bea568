"""Clusters that stand by themselves: `flowrun cluster ...`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from flowrun.cli import completion
from flowrun.cli.app import (
    Context,
    Everywhere,
    Kubeconfig,
    Namespace,
    Selector,
    app,
    clusters,
    connect,
    of_clusters,
    say,
)
from flowrun.cli.commands.look import show_table
from flowrun.cli.commands.reach import Port, hold
from flowrun.cli.files import cluster_file
from flowrun.cli.files.cluster_file import Workers
from flowrun.cli.show import view
from flowrun.cli.show.table import Wanted
from flowrun.problem import Problem

if TYPE_CHECKING:
    from flowrun.kube.coordinators import Coordinator
    from flowrun.kube.custom_objects import Objects

app.add_typer(clusters, name="cluster")

ClusterName = Annotated[str, typer.Argument(help="Name of the TaskCluster.", autocompletion=completion.clusters)]
NewName = Annotated[str, typer.Argument(help="Name that it gets.")]


@of_clusters
def create(
    name: NewName,
    engine: Annotated[str, typer.Option(help="dask or ray.")] = "dask",
    workers: Annotated[int, typer.Option(min=0, help="How many.")] = 2,
    threads: Annotated[int | None, typer.Option(min=1, help="Tasks at a time on a worker.")] = None,
    image: Annotated[str | None, typer.Option(help="Of coordinator and workers.")] = None,
    cpu: Annotated[str | None, typer.Option(help="That each worker asks for.")] = None,
    memory: Annotated[str | None, typer.Option(help="That each worker may have.")] = None,
    idle: Annotated[int | None, typer.Option(min=1, help="Park it after so many seconds without a client.")] = None,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="Serve the engine's dashboard.")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Create a cluster."""
    manifest = cluster_file.manifest(
        name, engine, Workers(workers, threads, cpu, memory), image, idle, dashboard=dashboard
    )
    created = _clusters(kubeconfig, context, namespace).create(manifest)
    say(f"{view.kind_and_name(created)} created; flowrun cluster connect {name} opens a way to it")
    return 0


@of_clusters
def list_(
    selector: Selector = "",
    wide: Annotated[bool, typer.Option("--wide", help="All columns.")] = False,
    everywhere: Everywhere = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """List the clusters, those of runs too, the newest last."""
    found = _clusters(kubeconfig, context, namespace)
    show_table(found, Wanted(wide=wide, everywhere=everywhere), selector, watch=False)
    return 0


@of_clusters
def scale(
    name: ClusterName,
    workers: Annotated[int, typer.Argument(min=0, help="How many workers.")],
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Change how many workers a cluster has; with 0 it is parked."""
    _standalone(name, kubeconfig, context, namespace).scale(name, workers)
    say(
        f"{name} gets {workers} workers"
        if workers
        else f"{name} is being parked; flowrun cluster scale {name} 1 wakes it"
    )
    return 0


@of_clusters
def park(name: ClusterName, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> int:
    """Leave a cluster without any pod until it is scaled again."""
    return scale(name, 0, namespace, context, kubeconfig)


@of_clusters
def connect_(
    name: ClusterName,
    port: Port = 0,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Open a way to a Dask scheduler for clients on this machine, until Ctrl-C."""
    connection = connect(kubeconfig, context, namespace)
    from flowrun.kube import coordinators  # noqa: PLC0415 - costs Kubernetes' client
    from flowrun.kube.forward import Forward  # noqa: PLC0415
    from flowrun.kube.pods import Pods  # noqa: PLC0415

    pods = Pods(connection)

    def find() -> Coordinator:
        return coordinators.standalone(pods, name)

    found = find()
    if found.engine != "Dask":
        raise Problem(f"{name} is a {found.engine} cluster: its drivers must run beside its nodes, in a pod")
    forward = Forward(connection, lambda: (connection.namespace, find().pod), found.port, port)
    say(f'{name}: distributed.Client("tcp://{forward.address}") (Ctrl-C ends the way)')
    return hold(forward, find)


@of_clusters
def delete(
    name: ClusterName, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> int:
    """Delete a cluster, with all that belongs to it."""
    found = _standalone(name, kubeconfig, context, namespace)
    found.delete(name, found.get(name)["metadata"]["uid"])
    say(f"{found.kind}/{name} deleted")
    return os.EX_OK


def _clusters(kubeconfig: str | None, context: str | None, namespace: str | None) -> Objects:
    connection = connect(kubeconfig, context, namespace)
    from flowrun.kube.custom_objects import Objects  # noqa: PLC0415
    from flowrun_api.constants import CLUSTERS  # noqa: PLC0415 - costs Kubernetes' client

    return Objects(connection, CLUSTERS)


def _standalone(name: str, kubeconfig: str | None, context: str | None, namespace: str | None) -> Objects:
    found = _clusters(kubeconfig, context, namespace)
    run = (found.get(name)["spec"].get("flowRun") or {}).get("name")
    if run:
        raise Problem(f"{name} belongs to the run {run}, which scales it and ends it: flowrun get {run}")
    return found
