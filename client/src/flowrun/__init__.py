"""FlowRun from a terminal (`flowrun.cli`) and from Python: `FlowRun` and `TaskCluster`.

The names are imported when they are used: the command must answer at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowrun.kube.conditions import Result
    from flowrun.objects.flow_run import FlowRun, RunFailed
    from flowrun.objects.task_cluster import TaskCluster
    from flowrun.problem import Problem

__all__ = ["FlowRun", "Problem", "Result", "RunFailed", "TaskCluster"]

_HOMES = {
    "FlowRun": "flowrun.objects.flow_run",
    "Problem": "flowrun.problem",
    "Result": "flowrun.kube.conditions",
    "RunFailed": "flowrun.objects.flow_run",
    "TaskCluster": "flowrun.objects.task_cluster",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
