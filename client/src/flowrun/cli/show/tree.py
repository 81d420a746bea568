"""A run that is followed on a terminal, as a tree that is drawn anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.spinner import Spinner
from rich.text import Text
from rich.tree import Tree

from flowrun.cli.show import view
from flowrun.cli.show.console import clean
from flowrun.kube import conditions

Raw = dict[str, Any]

# Conditions whose first True is a stage, in the order in which a good run passes them.
_STAGES = (("DriverRunning", "driver"), ("ClustersReady", "workers"))
_ORDER = ("Completed", "Running", "Pending", "Failed", "Crashed", "Cancelled")


def tree(run: Raw, tasks: Mapping[str, int]) -> Group:
    """Draw a run.

    Args:
        run: the FlowRun.
        tasks: how many task runs are in which of Prefect's states; empty: that is not known.
    """
    status = run.get("status", {})
    top = Tree(_text(f"{run['metadata']['name']}  {view.stage(run)}", "bold"), guide_style="dim")
    attempts = status.get("attempts", [])
    for attempt in attempts[:-1]:
        top.add(_text(f"attempt {attempt['number']}: {attempt.get('reason', '')}", "yellow"))
    under = top.add(_text(f"attempt {attempts[-1]['number']}")) if len(attempts) > 1 else top
    for cluster in status.get("clusters", []):
        ready, wanted = cluster.get("readyWorkers", 0), cluster.get("workers", 0)
        style = "green" if wanted and ready >= wanted else ""
        under.add(_text(f"{cluster['name']}  {cluster['engine']}  {ready}/{wanted} workers", style))
    if counted := [f"{tasks[state]} {state.lower()}" for state in _ORDER if tasks.get(state)]:
        under.add(_text("tasks  " + ", ".join(counted)))
    if passed := stages(run):
        top.add(_text("stages  " + ", ".join(passed), "dim"))
    # The spinner on a line of its own: a tree's guides do not stand still beside it.
    return Group(top, Spinner("dots", _text("Ctrl-C ends it", "dim")))


def stages(run: Raw) -> list[str]:
    """Return how long after its creation a run passed each stage, in whole seconds as the API counts them.

    Args:
        run: the FlowRun.
    """
    created = run["metadata"].get("creationTimestamp")
    passed = []
    for type_, name in _STAGES:
        found = conditions.condition(run, type_)
        after_s = view.seconds_between(created, found.get("lastTransitionTime"))
        if found["status"] == "True" and after_s is not None:
            passed.append(f"{name} +{after_s:.0f}s")
    return passed


def _text(text: str, style: str = "") -> Text:
    return Text(clean(text), style)
