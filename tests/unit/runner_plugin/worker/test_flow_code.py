"""A worker imports what the driver has imported, in the version that the driver has."""

from __future__ import annotations

import importlib
import os
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from flowrun_api.archive import pack
from prefect_flowrun.wire import flow_code as wire_flow_code
from prefect_flowrun.wire.shared_blobs import Blob
from prefect_flowrun.worker import flow_code


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(flow_code, "_entered", None)
    monkeypatch.setattr(flow_code, "_folder", None)
    monkeypatch.setattr(wire_flow_code, "received", None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(sys, "modules", sys.modules)


class Driver:
    """The folder of a flow, and what is sent of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked = 0
        folder.mkdir()
        (folder / "lib").mkdir()

    def send(self, text: str) -> None:
        (self.folder / "lib" / "sent_helper.py").write_text(text)
        blob = Blob(pack(self.folder, ["lib/sent_helper.py"]))

        def data(_: bytes) -> bytes:
            self.asked += 1
            return blob.data

        flow_code.enter((".", "lib"), blob.digest, None, data)


@pytest.fixture
def driver(tmp_path: Path):
    yield Driver(tmp_path / "flow")
    sys.modules.pop("sent_helper", None)


def value() -> int:
    return int(importlib.import_module("sent_helper").X)


def test_a_folder_is_unpacked_once_for_each_content(driver: Driver) -> None:
    driver.send("X = 1\n")
    driver.send("X = 1\n")
    assert value() == 1
    asked = driver.asked
    driver.send("X = 1\n")
    assert driver.asked == asked


def test_modules_of_an_older_version_are_forgotten(driver: Driver) -> None:
    driver.send("X = 1\n")
    assert value() == 1
    driver.send("X = 2\n")
    assert value() == 2
    driver.send("X = 1\n")
    assert value() == 1
    mine = str(Path(tempfile.gettempdir()))
    assert len([entry for entry in sys.path if entry.startswith(mine) and "flowrun-code" in entry]) == 2


def test_nobody_else_can_write_where_code_is_unpacked(driver: Driver) -> None:
    driver.send("X = 1\n")
    (base,) = Path(tempfile.gettempdir()).iterdir()
    assert stat.S_IMODE(base.stat().st_mode) == 0o700


def test_a_folder_that_others_could_write_is_not_used(driver: Driver, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (Path(tempfile.gettempdir()) / f"flowrun-code-{os.getuid()}").symlink_to(elsewhere)
    driver.send("X = 1\n")
    assert value() == 1
    assert list(elsewhere.iterdir()) == []


def test_folders_of_the_driver_come_first_if_they_are_here(tmp_path: Path) -> None:
    flow_code.enter((str(tmp_path), "/no/such/folder"), None, None, lambda _: b"")
    assert sys.path[0] == str(tmp_path)
    assert "/no/such/folder" not in sys.path


def test_what_was_sent_is_told_on_by_tasks_that_submit_others(driver: Driver) -> None:
    driver.send("X = 1\n")
    told = wire_flow_code.FlowCode()
    archive = told.archive()
    assert archive is not None
    assert told.paths() == (".", "lib")
    assert archive.data == pack(driver.folder, ["lib/sent_helper.py"])


def test_a_module_that_only_the_driver_has_is_told_with_what_to_do() -> None:
    with (
        pytest.raises(
            ModuleNotFoundError, match=r"No module named 'of_the_driver' on worker w-0, .*spec\.flow\.source"
        ),
        flow_code.missing_modules_explained("w-0"),
    ):
        importlib.import_module("of_the_driver")


def test_a_worker_in_the_flows_own_process_goes_on_with_its_modules(tmp_path: Path) -> None:
    """As with a user's `LocalCluster(processes=False)`: what it was sent would hide what the flow changes later."""
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow" / "own_helper.py").write_text("X = 1\n")
    code = wire_flow_code.FlowCode(tmp_path / "flow")
    archive = code.archive()
    assert archive is not None
    before = list(sys.path)
    flow_code.enter(code.paths(), archive.digest, None, lambda _: archive.data)
    assert wire_flow_code.received is None
    assert sys.path == before
