"""What the docs and examples show is what the API takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowrun_api.kinds.flowrun import FlowRun
from flowrun_api.kinds.taskcluster import TaskCluster

ROOT = Path(__file__).parents[2]
CRDS = {
    "FlowRun": (FlowRun, ROOT / "charts/flowrun-operator/files/crds/flowruns.yaml"),
    "TaskCluster": (TaskCluster, ROOT / "charts/flowrun-operator/files/crds/taskclusters.yaml"),
}


def shown() -> list[Any]:
    """Every object of ours in the docs' YAML blocks and in the examples."""
    found = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.S | re.M)):
            found += [(f"{page.name}-{number}", value) for value in map(completed, yaml.safe_load_all(block))]
    for file in sorted((ROOT / "examples").rglob("*.yaml")):
        found += [(file.name, value) for value in yaml.safe_load_all(file.read_text())]
    return [pytest.param(value, id=name) for name, value in found if isinstance(value, dict) and _ours(value)]


def _ours(value: dict[str, Any]) -> bool:
    return value.get("kind") in CRDS and "spec" in value


def completed(value: Any) -> Any:
    """The FlowRun that a block stands for which shows its clusters alone; another block as it is."""
    if not isinstance(value, dict) or list(value) != ["clusters"]:
        return value
    return {"kind": "FlowRun", "metadata": {"name": "etl"}, "spec": {"flow": {"entrypoint": "etl.py:etl"}, **value}}


def unknown(value: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """Fields that the schema does not have."""
    if schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema:
        return []
    if isinstance(value, list):
        return [name for item in value for name in unknown(item, schema.get("items", {}), path)]
    if not isinstance(value, dict):
        return []
    properties = schema.get("properties", {})
    found = [f"{path}.{name}" for name in value if name not in properties]
    known = [name for name in value if name in properties]
    return found + [deep for name in known for deep in unknown(value[name], properties[name], f"{path}.{name}")]


@pytest.mark.parametrize("value", shown())
def test_every_object_that_the_docs_show_is_valid(value):
    model, file = CRDS[value["kind"]]
    schema = yaml.safe_load(file.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert unknown(value["spec"], schema["properties"]["spec"]) == []
    model.model_validate(value)


def test_the_page_of_clusters_shows_every_kind():
    found = [value["spec"] for param in shown() if str(param.id).startswith("clusters.md") for value in param.values]
    clusters = [cluster for spec in found for cluster in spec.get("clusters", [])]
    assert {cluster["engine"] for cluster in clusters} == {"Dask", "Ray"}
    assert "OnDemand" in {cluster.get("activation") for cluster in clusters}
    assert any("maxReplicas" in cluster["workers"] for cluster in clusters)
    assert any("idleAction" in spec for spec in found)


def test_an_unknown_field_would_be_found():
    _, file = CRDS["FlowRun"]
    schema = yaml.safe_load(file.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert unknown({"clusters": [{"name": "a", "wrokers": {}}]}, schema) == [".clusters.wrokers"]


def test_the_manifest_of_subflows_runs_the_file_beside_it():
    code, _ = yaml.safe_load_all((ROOT / "examples/subflows/flowrun.yaml").read_text())
    assert code["data"] == {"flow.py": (ROOT / "examples/subflows/flow.py").read_text()}
