"""Names that a shell completes; when the cluster does not tell them there are none."""

from __future__ import annotations

import typer

from flowrun.problem import Problem
from flowrun_api.constants import CLUSTERS, RUNS


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the FlowRuns whose names begin so.

    Args:
        ctx: of the command that is typed; says which cluster.
        incomplete: what is typed of the name.
    """
    from flowrun.kube.custom_objects import LATEST  # noqa: PLC0415 - costs Kubernetes' client

    return _names(RUNS, ctx, incomplete, LATEST)


def clusters(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the TaskClusters whose names begin so.

    Args:
        ctx: of the command that is typed; says which cluster.
        incomplete: what is typed of the name.
    """
    return _names(CLUSTERS, ctx, incomplete)


def _names(plural: str, ctx: typer.Context, incomplete: str, *more: str) -> list[str]:
    from flowrun.kube.connection import connect  # noqa: PLC0415 - costs Kubernetes' client
    from flowrun.kube.custom_objects import Objects  # noqa: PLC0415

    where = {name: ctx.params.get(name) for name in ("kubeconfig", "context", "namespace")}
    try:
        found = Objects(connect(**where), plural).all()
    except Problem:
        found = []
    names = [*more, *sorted(item["metadata"]["name"] for item in found)]
    return [name for name in names if name.startswith(incomplete)]
