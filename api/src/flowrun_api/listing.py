"""Which files of a folder are the flow's: all but what is hidden, compiled, or installed there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_LEFT_OUT = {"__pycache__", "node_modules"}
_COMPILED = (".pyc", ".pyo")


def walk(folder: Path) -> Iterator[Path]:
    """Yield the files, always in the same order; links among them, whether or not they lead anywhere.

    Args:
        folder: of the flow. Folders that are links are left out.
    """
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if not _is_left_out(Path(place, each)))
        for name in sorted(names):
            if not (name.startswith(".") or name.endswith(_COMPILED)):
                yield Path(place, name)


def _is_left_out(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in _LEFT_OUT or (folder / "pyvenv.cfg").exists()
