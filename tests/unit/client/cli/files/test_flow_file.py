"""A flow in a file, without a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowrun.cli.files import flow_file
from flowrun.cli.files.flow_file import FlowFile, Options
from flowrun.problem import Problem

FLOW = """
from prefect import flow

@flow
def etl(source: str, /, count: int = 3, *, dry, retries=2):
    pass

@flow
async def takes_all(**anything):
    pass

made = flow(lambda n: n)
"""


@pytest.fixture
def etl(tmp_path: Path) -> FlowFile:
    (tmp_path / "etl.py").write_text(FLOW)
    return FlowFile(tmp_path / "etl.py", "etl")


@pytest.mark.parametrize("text", ["flow.yaml", "-", "package.module:flow", "flow.py:", "C.py:flow.py"])
def test_the_name_of_a_manifest_is_no_flow(text: str) -> None:
    assert flow_file.parse(text) is None


def test_a_flow_is_named_by_its_file_and_function(etl: FlowFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(etl.folder.parent)
    assert flow_file.parse(f"{etl.folder.name}/etl.py:etl") == etl
    with pytest.raises(Problem, match=r"missing\.py: no such file"):
        flow_file.parse("missing.py:etl")


def test_what_is_not_said_has_a_default(etl: FlowFile) -> None:
    made = flow_file.manifest(etl, Options()).flow_run
    assert made["metadata"]["name"].startswith("etl-")
    assert made["spec"] == {
        "flow": {"entrypoint": "etl.py:etl"},
        "clusters": [{"name": "default", "engine": "Dask", "workers": {"replicas": 2, "threads": 1}}],
    }


def test_what_is_said_is_in_the_manifest(etl: FlowFile) -> None:
    options = Options("ray", 4, 2, "team/etl:1", "500m", "2Gi", ("A=b=c", "EMPTY="), on_demand=True)
    spec = flow_file.manifest(etl, options).flow_run["spec"]
    assert (spec["image"], spec["env"]) == (
        "team/etl:1",
        [{"name": "A", "value": "b=c"}, {"name": "EMPTY", "value": ""}],
    )
    assert spec["clusters"] == [
        {
            "name": "default",
            "engine": "Ray",
            "activation": "OnDemand",
            "workers": {
                "replicas": 4,
                "threads": 2,
                "resources": {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"memory": "2Gi"}},
            },
        }
    ]
    assert flow_file.manifest(etl, Options("none")).flow_run["spec"]["clusters"] == []


@pytest.mark.parametrize(
    ("options", "said"), [(Options("spark"), "--engine spark: one of"), (Options(env=("A",)), "--env: write it")]
)
def test_what_can_not_be_is_said(etl: FlowFile, options: Options, said: str) -> None:
    with pytest.raises(Problem, match=said):
        flow_file.manifest(etl, options)


@pytest.mark.parametrize("function", ["_1", "A" * 200, "Run__All_"])
def test_every_function_gives_a_name_that_kubernetes_takes(tmp_path: Path, function: str) -> None:
    name = flow_file.manifest(FlowFile(tmp_path / "f.py", function), Options()).flow_run["metadata"]["name"]
    assert name[0].isalpha()
    assert name == name.lower()
    assert len(name) <= 40
    assert "_" not in name


@pytest.mark.parametrize(
    ("function", "given", "said"),
    [
        ("etl", {"source": "a", "dry": 1}, None),
        ("etl", {"source": "a", "dry": 1, "counts": 1}, "has no parameter counts"),
        ("etl", {"count": 1}, r"needs source, dry: --param source=VALUE"),
        ("takes_all", {"whatever": 1}, None),
        ("made", {"whatever": 1}, None),
        ("missing", {}, "etl.py has no function missing"),
    ],
)
def test_parameters_are_compared_with_the_signature(
    etl: FlowFile, function: str, given: dict[str, Any], said: str | None
) -> None:
    flow = FlowFile(etl.file, function)
    if said is None:
        flow_file.check_parameters(flow, given)
        return
    with pytest.raises(Problem, match=said):
        flow_file.check_parameters(flow, given)


def test_a_file_that_is_no_python_is_told_with_its_line(etl: FlowFile) -> None:
    etl.file.write_text("a = 1\ndef etl(:\n")
    with pytest.raises(Problem, match=r"etl\.py, line 2: invalid syntax"):
        flow_file.check_parameters(etl, {})
