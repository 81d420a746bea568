"""The file of `flowrun run`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowrun.cli.files import manifests
from flowrun.problem import Problem

CODE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: code}\n"
RUN = "apiVersion: flowrun.dev/v1alpha1\nkind: FlowRun\nmetadata: {name: etl}\nspec: {flow: {entrypoint: 'f.py:f'}}\n"


def test_the_flow_run_is_found_among_what_it_needs() -> None:
    found = manifests.parse(f"# a comment\n---\n{RUN}---\n{CODE}---\n", "f.yaml")
    assert found.flow_run["metadata"]["name"] == "etl"
    assert [other["kind"] for other in found.others] == ["ConfigMap"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds 0 FlowRuns"),
        (CODE, "holds 0 FlowRuns"),
        (f"{RUN}---\n{RUN}", "holds 2 FlowRuns"),
        (RUN.replace("flowrun.dev/", "automation.kubezap.io/"), "holds 0 FlowRuns"),
        ("{", "not valid YAML"),
        ("hello", "document 1 is no Kubernetes object"),
        (f"{RUN}---\nkind: ConfigMap\n", "document 2 is no Kubernetes object"),
        (f"{RUN}---\napiVersion: v1\nkind: Secret\nmetadata:\n", "document 2 is no Kubernetes object"),
        (CODE.replace("{name: code}", "etl"), "document 1 is no Kubernetes object"),
        (CODE.replace("v1", "1"), "document 1 is no Kubernetes object"),
    ],
)
def test_another_file_is_refused_with_its_name_and_the_reason(text: str, says: str) -> None:
    with pytest.raises(Problem, match=f"f.yaml: .*{says}"):
        manifests.parse(text, "f.yaml")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2026-11-22", "2026-11-22"),
        ("12:30", "12:30"),
        ("12:30:00", "12:30:00"),
        ("3", 3),
        ("-3", -3),
        ("0x1f", 31),
        ("0b_", "0b_"),
        ("1.5", 1.5),
        ("1e3", 1000),
        ("1.2.3", "1.2.3"),
        ("true", True),
        ("'3'", "3"),
    ],
)
def test_a_value_is_read_as_kubernetes_reads_it(written: str, value: object) -> None:
    text = RUN.replace("'f.py:f'", f"'f.py:f', parameters: {{x: {written}}}")
    read = manifests.parse(text, "f.yaml").flow_run["spec"]["flow"]["parameters"]["x"]
    assert (read, type(read) is bool) == (value, type(value) is bool)
    assert isinstance(read, str) == isinstance(value, str)


def test_a_broken_file_is_told_by_its_place_and_without_its_values() -> None:
    with pytest.raises(Problem) as caught:
        manifests.parse("kind: Secret\nstringData:\n  password: hunter2: x\n", "f.yaml")
    assert "line 3" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Problem, match=r"missing\.yaml: No such file"):
        manifests.read(str(tmp_path / "missing.yaml"))
    with pytest.raises(Problem, match="binary: not a text file"):
        manifests.read(str(tmp_path / "binary"))


def test_json_is_read_as_json_and_not_as_a_dialect_of_yaml() -> None:
    run = {"apiVersion": "flowrun.dev/v1alpha1", "kind": "FlowRun", "metadata": {"name": "etl"}}
    run["spec"] = {"flow": {"parameters": {"x": "\N{CAT}\x7f\t/ \x85"}}}
    for text in (json.dumps(run), json.dumps(run, ensure_ascii=False, indent="\t")):
        assert manifests.parse(text, "f.json").flow_run == run


def test_another_name_takes_the_place_of_a_generated_one() -> None:
    run = manifests.parse(RUN.replace("name: etl", "generateName: etl-"), "f.yaml").flow_run
    manifests.rename(run, "other")
    assert run["metadata"] == {"name": "other"}


def test_the_namespace_is_the_files_or_the_users_but_not_two() -> None:
    run = manifests.parse(RUN, "f.yaml").flow_run
    assert manifests.namespace(run, None) is None
    assert manifests.namespace(run, "mine") == "mine"
    run["metadata"]["namespace"] = "its"
    assert manifests.namespace(run, None) == manifests.namespace(run, "its") == "its"
    with pytest.raises(Problem, match="namespace its, --namespace says mine"):
        manifests.namespace(run, "mine")
