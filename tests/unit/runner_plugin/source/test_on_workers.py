"""Code and files of a flow on driver and workers: whatever works in a script works in a task."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from loopback_clusters import RAY_ENVIRONMENT, ray_cluster, start_ray_worker

FILES = Path(__file__).parents[1] / "flows" / "source"


def config_map(folder: Path) -> Path:
    """Lay files out as the kubelet does."""
    hidden = folder / "..2026_11_26"
    hidden.mkdir(parents=True)
    (folder / "..data").symlink_to(hidden.name)
    for file in FILES.iterdir():
        if file.is_file():
            shutil.copy(file, hidden)
            (folder / file.name).symlink_to(Path("..data", file.name))
    return folder


def claim(folder: Path) -> Path:
    shutil.copytree(FILES, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def archive(folder: Path) -> Path:
    folder.mkdir()
    shutil.make_archive(str(folder / "source"), "gztar", FILES)
    return folder


@pytest.mark.parametrize("source", [config_map, claim, archive], ids=["ConfigMap", "claim", "archive"])
def test_what_works_in_a_script_works_in_a_task_on_dask(drive, tmp_path, source):
    work = tmp_path / "work"
    work.mkdir()
    folders = {"FLOWRUN_SOURCE": str(source(tmp_path / "source")), "FLOWRUN_WORK": str(work)}
    only = {} if source is config_map else {"ONLY": "import in a task,relative file,file beside,relative write"}
    driven = drive("flow.py:main", cwd=work, **folders, **only)
    result = driven.finish()
    assert result["reason"] == "FlowCompleted", result["message"] + driven.output[-3000:]
    assert (work / "out.txt").read_text() == "written"


# As the other tests of Ray with real processes; tests/cluster does the like with pods.
@pytest.mark.skipif("FLOWRUN_SLOW" not in os.environ, reason="takes minutes: FLOWRUN_SLOW=1 runs these")
def test_what_works_in_a_script_works_in_a_task_on_ray(drive, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    folders = {"FLOWRUN_SOURCE": str(config_map(tmp_path / "source")), "FLOWRUN_WORK": str(work)}
    contract = ray_cluster("default")
    clusters = json.dumps([contract])
    driven = drive("flow.py:main", cwd=work, clusters=(), FLOWRUN_CLUSTERS=clusters, **RAY_ENVIRONMENT, **folders)
    worker = start_ray_worker(contract, tmp_path, cwd=work, told=folders)
    try:
        result = driven.finish(900)
        assert result["reason"] == "FlowCompleted", result["message"] + driven.output[-3000:]
        assert (work / "out.txt").read_text() == "written"
    finally:
        worker.stop()
