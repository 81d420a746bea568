"""The working folder is filled from the source, and from nothing beyond it."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from prefect_flowrun.source.work_folder import SourceError, fill, prepare


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def as_config_map(source: Path, **files: bytes) -> None:
    """Lay files out as the kubelet does: `__` in a name stands for a dot."""
    (source / "..2026").mkdir()
    (source / "..data").symlink_to("..2026")
    for name, content in files.items():
        key = name.replace("__", ".")
        (source / "..2026" / key).write_bytes(content)
        (source / "..2026" / key).chmod(0o444)
        (source / key).symlink_to(Path("..data", key))


def tar_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def names(work: Path) -> set[str]:
    return {path.relative_to(work).as_posix() for path in work.rglob("*") if not path.name.startswith(".flowrun")}


def test_the_files_of_a_config_map_are_copied_and_can_be_written(source: Path, work: Path) -> None:
    as_config_map(source, flow__py=b"1", words__txt=b"hello")
    fill(source, work)
    assert names(work) == {"flow.py", "words.txt"}
    assert not (work / "flow.py").is_symlink()
    assert (work / "flow.py").stat().st_mode & stat.S_IWUSR


def test_what_is_in_a_claim_is_linked_not_copied(source: Path, work: Path) -> None:
    (source / "data").mkdir()
    (source / "data" / "large.bin").write_bytes(b"x")
    (source / "flow.py").write_text("1")
    (source / "lost+found").mkdir()
    fill(source, work)
    assert {path.name for path in work.iterdir() if path.is_symlink()} == {"data", "flow.py"}
    assert (work / "data" / "large.bin").read_bytes() == b"x"


@pytest.mark.parametrize(("name", "make"), [("source__tar__gz", tar_of), ("source__zip", zip_of)])
def test_an_archive_is_unpacked_with_its_folders(source: Path, work: Path, name, make) -> None:
    as_config_map(source, **{name: make(**{"flow.py": b"1", "lib/deep/helper.py": b"2"})}, more__txt=b"3")
    fill(source, work)
    assert names(work) == {"flow.py", "lib", "lib/deep", "lib/deep/helper.py", "more.txt"}


@pytest.mark.parametrize("evil", ["../evil.py", "/tmp/evil.py", "lib/../../evil.py"])
@pytest.mark.parametrize(("name", "make"), [("source.tar.gz", tar_of), ("source.zip", zip_of)])
def test_nothing_is_unpacked_outside_the_folder(source: Path, work: Path, name, make, evil: str) -> None:
    (source / name).write_bytes(make(**{evil: b"1"}))
    if evil.startswith("/") and name.endswith(".gz"):
        fill(source, work)  # tarfile takes the slash away
    else:
        with pytest.raises(SourceError, match=f"{name} can't be unpacked"):
            fill(source, work)
    assert not Path("/tmp/evil.py").exists()
    assert [path for path in work.parent.rglob("evil.py") if work not in path.parents] == []


def test_a_link_in_an_archive_that_leaves_the_folder_is_refused(source: Path, work: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    (source / "source.tar.gz").write_bytes(buffer.getvalue())
    with pytest.raises(SourceError, match="can't be unpacked"):
        fill(source, work)


@pytest.mark.parametrize("name", ["source.tar.gz", "source.zip"])
@pytest.mark.parametrize("damaged", [b"", b"no archive", tar_of(**{"a.py": b"1" * 9999})[:-30], zip_of(a=b"1")[:-9]])
def test_a_damaged_archive_is_named(source: Path, work: Path, name: str, damaged: bytes) -> None:
    (source / name).write_bytes(damaged)
    with pytest.raises(SourceError, match=name.replace(".", r"\.")):
        fill(source, work)


def test_what_is_there_already_stays(source: Path, work: Path) -> None:
    (work / "data").mkdir()  # a volume of the user's
    (source / "data").write_text("mine")
    (source / "flow.py").write_text("1")
    fill(source, work)
    assert (work / "data").is_dir()
    (work / "flow.py").unlink()
    (work / "flow.py").write_text("changed by the flow")
    fill(source, work)
    assert (work / "flow.py").read_text() == "changed by the flow"


def test_a_source_that_cannot_be_read_is_named(work: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"No such file or directory: .*missing"):
        fill(tmp_path / "missing", work)


def test_without_a_source_nothing_is_done() -> None:
    prepare({})
    prepare({"FLOWRUN_SOURCE": "/nowhere"})


def test_the_ground_floor_costs_no_imports() -> None:
    import subprocess
    import sys

    code = "import sys; from prefect_flowrun.source import import_path, work_folder; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"prefect", "distributed", "ray", "tarfile", "zipfile", "pydantic"} & set(loaded)


def test_a_file_is_never_seen_half_written(source: Path, work: Path) -> None:
    as_config_map(source, flow__py=b"1" * 100_000)
    fill(source, work)
    assert os.path.getsize(work / "flow.py") == 100_000  # noqa: PTH202
    assert [path.name for path in work.iterdir() if path.name.endswith(str(os.getpid()))] == []
