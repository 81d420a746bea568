"""A FlowRun as its manifest has it, checked here as the API server checks it for a run on a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from flowrun_api.contract import Activation
from flowrun_api.kinds.clusters import ClusterSpec
from flowrun_api.kinds.faults import faults
from flowrun_api.kinds.flowrun import FlowRunSpec
from prefect_flowrun.engines.packages import is_installed
from prefect_flowrun.laptop.problem import CannotRun

Raw = dict[str, Any]

_SHOWN = 5


def read(flow_run: Raw) -> FlowRunSpec:
    """Read the spec of a FlowRun.

    Args:
        flow_run: as its manifest has it.

    Raises:
        CannotRun: a field is missing or wrong, or asks for what only a cluster has; names field and reason.
    """
    try:
        spec = FlowRunSpec.model_validate(flow_run.get("spec"))
    except ValidationError as error:
        raise CannotRun(_listed(faults(error, "spec"))) from None
    if broken := list(_broken_rules(spec)):
        raise CannotRun(_listed(broken))
    for engine in {cluster.engine for cluster in spec.clusters}:
        if not is_installed(engine):
            raise CannotRun(f'{engine} is not installed here: pip install "prefect-flowrun[{engine.lower()}]"')
    if spec.suspend:
        raise CannotRun("spec.suspend is true: there is nothing to run")
    return spec


def _broken_rules(spec: FlowRunSpec) -> Iterator[str]:
    """Give what breaks a rule that no model has: on a cluster the CRD's list keys and CEL rules say it."""
    names = [cluster.name for cluster in spec.clusters]
    if len(set(names)) != len(names):
        yield f"names of clusters must be unique, got {', '.join(names)}"
    for index, cluster in enumerate(spec.clusters):
        yield from (f"spec.clusters[{index}]: {problem}" for problem in _of_workers(cluster))
    for where, entry in _entries(spec):
        if not isinstance(entry.get("name"), str) or not entry["name"]:
            yield f"{where}.name: must be set"
        elif not isinstance(entry.get("value", ""), str):
            yield f"{where}.value: must be a text"


def _of_workers(cluster: ClusterSpec) -> Iterator[str]:
    fixed, fewest, most = (
        cluster.workers.replicas,
        cluster.workers.min_replicas,
        cluster.workers.max_replicas,
    )
    if fixed is not None and (fewest, most) != (None, None):
        yield "either replicas, or minReplicas and maxReplicas"
    elif (fewest is None) != (most is None):
        yield "minReplicas and maxReplicas must be set together"
    elif fewest is not None and most is not None and fewest > most:
        yield "minReplicas must not exceed maxReplicas"
    elif cluster.activation is Activation.ON_DEMAND and fixed == 0:
        yield "an OnDemand cluster needs at least one worker"


def _entries(spec: FlowRunSpec) -> Iterator[tuple[str, Raw]]:
    """Give all variables of the environment, each with its place."""
    lists = [("spec.env", spec.env), ("spec.driver.env", spec.driver.env)]
    lists += [(f"spec.clusters[{index}].workers.env", each.workers.env) for index, each in enumerate(spec.clusters)]
    for where, entries in lists:
        yield from ((f"{where}[{index}]", entry) for index, entry in enumerate(entries or []))


def variables(entries: Sequence[Raw] | None, own: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment that entries ask for.

    Args:
        entries: of the run, of its driver or of its workers.
        own: of the command. What comes from a Secret or a ConfigMap on a cluster is taken from here.

    Raises:
        CannotRun: such a variable is not set here.
    """
    found = {}
    for entry in entries or []:
        name = entry["name"]
        if entry.get("valueFrom") is None:
            found[name] = entry.get("value") or ""
        elif name in own:
            found[name] = own[name]
        else:
            raise CannotRun(f"env {name} comes from the cluster (valueFrom): set it in your shell for a run here")
    return found


def _listed(problems: list[str]) -> str:
    more = len(problems) - _SHOWN
    return "; ".join([*problems[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])
