"""What the API server refuses at `kubectl apply`, with a message that names the field."""

from __future__ import annotations

from typing import Any

import pytest
from cluster_tools import Cluster, flow_run


def changed(path: str, value: Any) -> dict[str, Any]:
    run = flow_run()
    target: Any = run
    *parents, last = path.split(".")
    for step in parents:
        target = target[int(step)] if step.isdecimal() else target[step]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return run


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("spec.clusters.0.engine", "Spark", 'spec.clusters[0].engine: Unsupported value: "Spark"'),
        ("spec.flow.entrypoint", None, "spec.flow.entrypoint: Required value"),
        ("spec.flow.entrypoint", "no function", "spec.flow.entrypoint"),
        ("spec.flow.source", {"configMap": "a", "persistentVolumeClaim": "b"}, "exactly one of configMap"),
        ("spec.flow.source", {}, "exactly one of configMap"),
        ("spec.flow.source", {"git": {"url": "https://me:token@example.com/flows"}}, "spec.flow.source.git.url"),
        (
            "spec.flow.source",
            {"git": {"url": "https://example.com", "path": "a/../.."}},
            "not lead out of",
        ),
        ("metadata.name", "a" * 60, "at most 40 characters"),
        ("metadata.name", "1st", "start with a letter"),
        ("spec.clusters.0.workers.replicas", -1, "spec.clusters[0].workers.replicas"),
        ("spec.clusters.0.name", None, "spec.clusters[0].name: Required value"),
        ("spec.clusters", [{"name": "a", "engine": "Dask"}, {"name": "a", "engine": "Dask"}], "Duplicate value"),
        ("spec.clutsers", [], "unknown field"),
        ("spec.prefect", {"apiUrl": "not-a-url"}, "spec.prefect.apiUrl"),
    ],
)
def test_bad_field_is_refused_with_its_name(ns: Cluster, path: str, value: Any, said: str) -> None:
    out = ns.apply(changed(path, value), dry_run=True)
    assert said in out, out


def test_spec_is_immutable_but_for_suspend_cancel_and_ttl(ns: Cluster) -> None:
    ns.apply(flow_run(suspend=True))
    for path, value in (("spec.image", "other:1"), ("spec.flow.entrypoint", "flow.py:other"), ("spec.clusters", [])):
        run = changed(path, value)
        run["spec"]["suspend"] = True
        out = ns.apply(run, dry_run=True)
        assert "is immutable" in out, out
    allowed = flow_run(suspend=True, ttlSecondsAfterFinished=5)
    assert "configured" in ns.apply(allowed)
