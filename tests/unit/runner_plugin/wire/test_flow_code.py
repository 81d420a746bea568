"""What a cluster is told of the flow's code: the folders of the path, or a folder as an archive."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from pathlib import Path

import pytest

from prefect_flowrun.wire import flow_code, module_changes
from prefect_flowrun.wire.flow_code import FlowCode, FolderTooLargeError
from prefect_flowrun.wire.module_changes import ModuleChanges


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "lib"), *sys.path])
    monkeypatch.setattr(flow_code, "_LOOK_INTERVAL_S", 0.0)
    monkeypatch.setattr(module_changes, "_here", ModuleChanges([str(tmp_path)]))
    (tmp_path / "lib").mkdir()
    (tmp_path / "flow.py").write_text("X = 1\n")
    (tmp_path / "lib" / "helper.py").write_text("Y = 1\n")
    return tmp_path


def packed(code: FlowCode) -> set[str]:
    blob = code.archive()
    assert blob is not None
    return set(zipfile.ZipFile(io.BytesIO(blob.data)).namelist())


def test_workers_with_the_same_folders_are_told_where_to_look(folder: Path) -> None:
    code = FlowCode()
    assert code.paths()[:2] == (str(folder), str(folder / "lib"))
    assert code.archive() is None
    assert not [path for path in code.paths() if "-packages" in path or path.endswith(".zip")]
    assert os.path.dirname(os.__file__) not in code.paths()  # noqa: PTH120


def test_others_get_the_folder_and_look_at_the_same_places_in_it(folder: Path) -> None:
    code = FlowCode(folder)
    assert code.paths() == (".", "lib")
    assert packed(code) == {"flow.py", "lib/helper.py"}


def test_what_is_hidden_made_by_tools_or_an_environment_is_not_sent(folder: Path) -> None:
    for name in (".git/config", ".env", "__pycache__/flow.pyc", "my-env/pyvenv.cfg", "my-env/lib/x.py", "old.pyc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    assert packed(FlowCode(folder)) == {"flow.py", "lib/helper.py"}


def test_it_is_sent_again_when_a_file_has_changed_and_only_then(folder: Path) -> None:
    code = FlowCode(folder)
    first = code.archive()
    assert code.archive() is first
    (folder / "lib" / "helper.py").write_text("Y = 22\n")
    second = code.archive()
    assert first is not None
    assert second is not None
    assert first.digest != second.digest
    (folder / "lib" / "helper.py").write_text("Y = 1\n")
    third = code.archive()
    assert third is not None
    assert third.digest == first.digest, "the same content is the same archive"


def test_a_folder_that_is_too_large_is_an_error_if_its_modules_are_used(folder: Path) -> None:
    (folder / "data.bin").write_bytes(os.urandom(flow_code.ARCHIVE_LIMIT_BYTES + 1))
    import helper  # noqa: F401

    with pytest.raises(FolderTooLargeError, match=f"{folder} is too large .*more than 8 MiB packed"):
        FlowCode(folder).archive()
    del sys.modules["helper"]


def test_and_a_warning_if_they_are_not(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "data.bin").write_bytes(os.urandom(flow_code.ARCHIVE_LIMIT_BYTES + 1))
    code = FlowCode(folder)
    assert code.archive() is None
    assert code.archive() is None
    assert caplog.text.count("is too large to be sent") == 1
