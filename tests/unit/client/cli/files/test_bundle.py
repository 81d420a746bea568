"""An archive of texts."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from flowrun.cli.files.bundle import write
from flowrun.problem import Problem


def test_texts_lie_in_a_folder_of_the_archives_name(tmp_path: Path) -> None:
    write(tmp_path / "report.tar.gz", [("a.yaml", "größe: 1\n"), ("b.log", "")])
    with tarfile.open(tmp_path / "report.tar.gz") as archive:
        assert archive.getnames() == ["report/a.yaml", "report/b.log"]
        found = archive.extractfile("report/a.yaml")
        assert found is not None
        assert found.read().decode() == "größe: 1\n"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="No such file or directory"):
        write(tmp_path / "missing" / "report.tar.gz", [])
