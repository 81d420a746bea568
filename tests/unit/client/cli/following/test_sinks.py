"""Where the lines of pods go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowrun.cli.following.sinks import Files, Lines
from flowrun.problem import Problem


def pod(name: str, role: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"flowrun.dev/role": role}}}


def test_a_workers_lines_begin_with_its_name_in_the_run() -> None:
    said: list[str] = []
    lines = Lines(said.append, "etl", prefixed=True, everything=False)
    lines.take(pod("etl-1-default-w-3", "worker"), "hello")
    lines.take(pod("etl-2-default-w-3", "worker"), "again")
    assert said == ["[default-w-3] hello", "[2-default-w-3] again"]


def test_a_drivers_lines_are_the_flows_unless_all_are_wanted() -> None:
    for everything, expected in ((False, ["mine"]), (True, ["[scheduler default] its", "mine"])):
        said: list[str] = []
        lines = Lines(said.append, "etl", prefixed=False, everything=everything)
        lines.take(pod("etl-1-x", "driver"), "[scheduler default] its")
        lines.take(pod("etl-1-x", "driver"), "mine")
        assert said == expected


def test_each_pod_has_a_file(tmp_path: Path) -> None:
    with Files(tmp_path / "logs") as files:
        files.take(pod("a", "driver"), "one")
        files.take(pod("b", "worker"), "two \x1b[31mred")
        files.take(pod("a", "driver"), "three")
    assert (tmp_path / "logs" / "a.log").read_text() == "one\nthree\n"
    assert (tmp_path / "logs" / "b.log").read_text() == "two \x1b[31mred\n"


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Problem, match="--out-dir"):
        Files(tmp_path / "file")
