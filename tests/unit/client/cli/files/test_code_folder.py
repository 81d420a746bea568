"""What of a folder goes to the cluster."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest

from flowrun.cli.files import code_folder
from flowrun.problem import Problem
from flowrun_api.archive import unpack_zip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    for name in (
        "etl.py",
        "lib/tools.py",
        "data/a.csv",
        "__pycache__/etl.pyc",
        ".env",
        ".venv/x.py",
        "venv/pyvenv.cfg",
    ):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(name)
    return made


def packed(folder: Path, into: Path) -> list[str]:
    into.mkdir()
    made = code_folder.config_map("code", folder)
    assert made["metadata"] == {"name": "code"}
    unpack_zip(base64.b64decode(made["binaryData"]["source.zip"]), into)
    return sorted(str(file.relative_to(into)) for file in into.rglob("*") if file.is_file())


def test_outside_of_git_what_is_hidden_or_made_stays_here(folder: Path, tmp_path: Path) -> None:
    assert packed(folder, tmp_path / "out") == ["data/a.csv", "etl.py", "lib/tools.py"]


def test_in_a_repository_git_says_what_is_ignored(folder: Path, tmp_path: Path) -> None:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True, env=env)
    (folder / ".gitignore").write_text("data/\n.env\n.venv\nvenv\n__pycache__\n")
    (folder / "gone.py").touch()
    subprocess.run(["git", "-C", str(folder), "add", "gone.py"], check=True, env=env)
    (folder / "gone.py").unlink()
    assert packed(folder, tmp_path / "out") == [".gitignore", "etl.py", "lib/tools.py"]


def test_links_that_lead_out_of_it_do_not_go_along(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cr3t")
    (folder / "link").symlink_to(tmp_path / "secret")
    assert "link" not in packed(folder, tmp_path / "out")


def test_too_much_is_refused_with_what_is_largest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "model.bin").write_bytes(os.urandom(code_folder.LIMIT_BYTES))
    with pytest.raises(Problem, match=r"the limit is 900 KiB; the largest files are model\.bin"):
        code_folder.config_map("code", folder)
    monkeypatch.setattr(code_folder, "_FILES", 2)
    with pytest.raises(Problem, match="more than 2 files"):
        code_folder.config_map("code", folder)
