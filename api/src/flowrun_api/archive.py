"""Archives of folders: unpacked where nothing in them can reach further than their folder, and packed."""

from __future__ import annotations

import io
import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import zipfile

# Entries of a source with these names are unpacked into the working folder.
NAMES = ("source.tar.gz", "source.zip")
# The oldest time that a zip file can hold: equal files make equal archives.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


class ArchiveError(Exception):
    """An archive can't be unpacked."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a `.tar.gz` or `.zip` file.

    Args:
        archive: the file.
        folder: existing. Files with the same name are replaced.

    Raises:
        ArchiveError: it is no such archive, is damaged, or holds what would land outside the folder.
        OSError: the folder can't be written.
    """
    # Not at module level: most sources have none, and the imports take longer than a copy.
    import tarfile  # noqa: PLC0415
    import zipfile  # noqa: PLC0415
    import zlib  # noqa: PLC0415

    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as opened:
                _unzip(opened, folder)
        else:
            with tarfile.open(archive, "r:*") as opened_tar:
                # Refuses absolute paths, "..", links that leave the folder, and devices.
                opened_tar.extractall(folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise ArchiveError(f"{archive.name} can't be unpacked: {error}") from error


def unpack_zip(data: bytes, folder: Path) -> None:
    """Unpack what `pack` has made.

    Args:
        data: the archive.
        folder: existing.

    Raises:
        OSError: the folder can't be written.
    """
    import zipfile  # noqa: PLC0415

    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        _unzip(opened, folder)


def pack(folder: Path, files: Iterable[str]) -> bytes:
    """Pack files of a folder; the same files make the same bytes.

    Args:
        folder: where they are.
        files: their paths below it.

    Raises:
        OSError: one can't be read.
    """
    import zipfile  # noqa: PLC0415

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(Path(name).as_posix(), _NO_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = ((folder / name).stat().st_mode & 0o777) << 16
            archive.writestr(entry, (folder / name).read_bytes())
    return buffer.getvalue()


def _unzip(archive: zipfile.ZipFile, folder: Path) -> None:
    for entry in archive.infolist():
        path = PurePosixPath(entry.filename)
        mode = entry.external_attr >> 16
        if path.is_absolute() or ".." in path.parts or stat.S_ISLNK(mode):
            # zipfile itself would put it somewhere else, without a word.
            raise ValueError(f"{entry.filename!r} would be outside its folder")
        target = folder / path
        if entry.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as packed, target.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
        if mode & 0o111:
            os.chmod(target, 0o755)  # noqa: PTH101, S103 - a command that the flow starts
