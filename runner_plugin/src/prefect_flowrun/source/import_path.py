"""Where this process and its children look for the flow's modules, as a script's do in the folder of the script.

Not from the start on: a file of the flow may have the name of a module that our own processes import. Their commands
leave the working directory out (`python -P`), and it is put on the path once they have imported what they need.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from flowrun_api import environment

_PYTHONPATH = "PYTHONPATH"
_lock = threading.Lock()


def folders_of(entrypoint: str) -> list[str]:
    """Return the folders of an entrypoint's modules: that of its file, and the working directory.

    Args:
        entrypoint: `dir/file.py:function`, `package.module:function` or `package.module.function`; may be empty.
    """
    folders = [str(Path.cwd())]
    file, separator, _ = entrypoint.rpartition(":")
    if separator and file.endswith(".py"):
        folders.insert(0, str(Path(file).absolute().parent))
    return list(dict.fromkeys(folders))


def enter(env: Mapping[str, str] = os.environ) -> None:
    """Find modules in the folders of the run's entrypoint; where it is not known, in the working directory.

    Args:
        env: usually `os.environ`.
    """
    put_first(folders_of(env.get(environment.ENTRYPOINT, "")))


def put_first(folders: Sequence[str]) -> None:
    """Find modules in these folders before all others, here and in processes that are started from here.

    Args:
        folders: absolute, the first one first.
    """
    with _lock:
        if sys.path[: len(folders)] != list(folders):
            sys.path[:] = [*folders, *(entry for entry in sys.path if entry not in folders)]
        mine = [entry for entry in os.environ.get(_PYTHONPATH, "").split(os.pathsep) if entry]
        wanted = [*folders, *(entry for entry in mine if entry not in folders)]
        if mine != wanted:
            os.environ[_PYTHONPATH] = os.pathsep.join(wanted)
    # Their files may be younger than what the finders remember of the folders.
    importlib.invalidate_caches()


def leave(folder: str) -> None:
    """Look no more into a folder and what is below it.

    Args:
        folder: absolute.
    """

    def stays(entry: str) -> bool:
        return entry != folder and not entry.startswith(folder + os.sep)

    with _lock:
        sys.path[:] = filter(stays, sys.path)
        os.environ[_PYTHONPATH] = os.pathsep.join(filter(stays, os.environ.get(_PYTHONPATH, "").split(os.pathsep)))
