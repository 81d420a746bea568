"""What people and editors read of the kinds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from flowrun_api.kinds import reference

ROOT = Path(__file__).parents[3]
API = (ROOT / "docs" / "api.md").read_text()


def test_the_tables_of_the_docs_are_current() -> None:
    assert reference.renewed(API) == API, "stale: run `make generate`"
    assert API.count("<!-- fields: ") == API.count("<!-- end -->") == 5


@pytest.mark.parametrize("kind", ["FlowRun", "TaskCluster"])
def test_the_schemas_for_editors_are_current(kind: str) -> None:
    found = json.loads((ROOT / "docs" / "schemas" / f"{kind.lower()}-v1alpha1.json").read_text())
    assert found == reference.editor_schema(kind), "stale: run `make generate`"
    Draft7Validator.check_schema(found)


def test_a_row_says_type_bounds_default_and_meaning() -> None:
    rows = reference.table("FlowRun.spec").splitlines()
    for row in (
        "| `clusters[].idleSeconds` | integer, 0 to 86400 | `2` | How long an unused",
        "| `redirectTaskRunners` | `All`, `DefaultOnly`, `Explicit`, `None` | `All` |",
        "| `flow.entrypoint` | string, at most 512, required |  |",
        "| `clusters[].workers` | object |  | The workers; [pod options](#pod-options) |",
    ):
        assert any(found.startswith(row) for found in rows), row
    assert not any("podTemplate" in row for row in rows), "pod options have a table of their own"


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda file: file.name)
def test_an_editor_takes_the_examples_and_finds_what_is_wrong(file: Path) -> None:
    validator = Draft7Validator(reference.editor_schema("FlowRun"))
    (run,) = [each for each in yaml.safe_load_all(file.read_text()) if each and each["kind"] == "FlowRun"]
    assert [error.message for error in validator.iter_errors(run)] == []
    driver = {"resources": {"requests": {"cpu": 0.5}}}
    wrong = {**run, "spec": {**run["spec"], "cluster": [], "image": 3, "driver": driver}}
    errors = " ".join(error.message for error in validator.iter_errors(wrong))
    assert "'cluster' was unexpected" in errors
    assert "3 is not of type 'string'" in errors
    assert "0.5" not in errors
