"""An archive of texts."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from flowrun.problem import Problem


def write(file: Path, entries: Iterable[tuple[str, str]]) -> None:
    """Write texts into a `.tar.gz` file, below a folder of its name.

    Args:
        file: the archive.
        entries: name and text of each.

    Raises:
        Problem: it can't be written.
    """
    folder = file.name.removesuffix(".tar.gz")
    try:
        with tarfile.open(file, "w:gz") as archive:
            for name, text in entries:
                data = text.encode()
                entry = tarfile.TarInfo(f"{folder}/{name}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    except OSError as error:
        raise Problem(f"{file}: {error.strerror}") from error
