"""One run, whole, in words: what `flowrun get` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from flowrun.cli.show import view
from flowrun.cli.show.advice import next_step
from flowrun.cli.show.table import columns_of
from flowrun.kube import conditions, container_state

Raw = dict[str, Any]

_INDENT = "  "


def describe(run: Raw, pods: Sequence[Raw], now: str) -> list[str]:
    """Return a run as lines.

    Args:
        run: the FlowRun.
        pods: that it has now.
        now: what ages are counted to.
    """
    metadata, status = run["metadata"], run.get("status", {})
    facts = [
        ("Name", f"{metadata['name']} (namespace {metadata['namespace']})"),
        ("State", state(run)),
        ("Age", view.age(view.seconds_between(metadata["creationTimestamp"], now) or 0)),
        ("Took", took(status.get("startTime"), status.get("completionTime"))),
        ("Flow", run["spec"]["flow"]["entrypoint"]),
        ("Prefect", prefect(status.get("flowRun") or {})),
    ]
    lines = [f"{name + ':':<10}{text}" for name, text in facts if text]
    for title, rows in (
        ("Attempts", [_attempt(attempt) for attempt in status.get("attempts", [])]),
        # Of a run that has ended they are gone.
        ("Clusters", [] if conditions.result(run) else [_cluster(cluster) for cluster in status.get("clusters", [])]),
        ("Pods", [_pod(pod, now) for pod in pods]),
        ("Conditions", [_condition(condition) for condition in status.get("conditions", [])]),
    ):
        if rows:
            lines += [f"{title}:", *(_INDENT + line for line in columns_of(rows))]
    return [*lines, f"{'Next:':<10}{next_step(run)}"]


def state(run: Raw) -> str:
    """Return what a run does, or how it has ended."""
    result = conditions.result(run)
    if result is None:
        return view.stage(run)
    return f"{run['status'].get('state', '')}; {result}".removeprefix("; ")


def took(start: str | None, end: str | None) -> str:
    """Return how long something took, empty if that is not known (yet)."""
    duration_s = view.seconds_between(start, end)
    return "" if duration_s is None else f"{duration_s:.0f}s"


def prefect(flow_run: Raw) -> str:
    """Return what is known of the flow run in Prefect, empty before there is one."""
    known = [flow_run.get(name, "") for name in ("name", "state", "url")]
    return "  ".join(part for part in known if part) or str(flow_run.get("id", ""))


def _attempt(attempt: Raw) -> list[str]:
    ended = took(attempt.get("startTime"), attempt.get("completionTime"))
    return [str(attempt["number"]), ended or "active", attempt.get("reason", ""), _first_line(attempt.get("message"))]


def _cluster(cluster: Raw) -> list[str]:
    workers = f"{cluster.get('readyWorkers', 0)} of {cluster.get('workers', 0)} workers ready"
    return [cluster["name"], cluster["engine"], workers]


def _pod(pod: Raw, now: str) -> list[str]:
    created = view.seconds_between(pod["metadata"]["creationTimestamp"], now) or 0
    role, node = container_state.label(pod, "role"), pod.get("spec", {}).get("nodeName", "")
    return [pod["metadata"]["name"], role, container_state.state(pod), node, view.age(created)]


def _condition(condition: Raw) -> list[str]:
    return [condition["type"], condition["status"], condition["reason"], _first_line(condition.get("message"))]


def _first_line(text: str | None) -> str:
    lines: Iterator[str] = iter((text or "").splitlines())
    return next(lines, "")
