"""The folder of a flow's file, packed into a ConfigMap: what git would take of it, at most what a ConfigMap holds."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flowrun.problem import Problem
from flowrun_api.archive import pack
from flowrun_api.listing import walk

Raw = dict[str, Any]

# A ConfigMap has 1 MiB at most.
LIMIT_BYTES = 900 * 2**10
_FILES = 2000
_GIT_S = 20
_LARGEST = 3


def config_map(name: str, folder: Path) -> Raw:
    """Return a ConfigMap with what a run needs of a folder.

    Args:
        name: of the ConfigMap.
        folder: with the flow's file.

    Raises:
        Problem: it is too large, or can't be read.
    """
    try:
        files = list(_files(folder))
        if len(files) > _FILES:
            raise Problem(f"{folder} has more than {_FILES} files: put the flow into a folder of its own")
        packed = pack(folder, files)
    except OSError as error:
        raise Problem(f"{error.filename}: {error.strerror}") from error
    if len(packed) > LIMIT_BYTES:
        largest = sorted(files, key=lambda file: -(folder / file).stat().st_size)[:_LARGEST]
        raise Problem(
            f"{folder} has {len(packed) // 2**10} KiB packed, the limit is {LIMIT_BYTES // 2**10} KiB; the largest "
            f"files are {', '.join(largest)}. Leave them out by .gitignore, or put the code into an image and use a "
            "manifest"
        )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "binaryData": {"source.zip": base64.b64encode(packed).decode()},
    }


def _files(folder: Path) -> Iterator[str]:
    known = _by_git(folder)
    for file in walk(folder) if known is None else (folder / name for name in known):
        if file.is_file() and not file.is_symlink():
            yield file.relative_to(folder).as_posix()


def _by_git(folder: Path) -> list[str] | None:
    """Return what git knows of a folder or would add to it; None outside of a repository, or without git."""
    command = ["git", "-C", str(folder), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True, timeout=_GIT_S).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]
