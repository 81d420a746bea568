"""What a cluster must be told of the flow's code, so that workers import it by the names that the driver uses.

Where the workers have the same folders (a run's cluster, this machine) these are the folders of `sys.path`. Others get
the flow's folder itself, as an archive, and again when a file in it has changed.
"""

from __future__ import annotations

import logging
import os
import site
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flowrun_api.archive import pack
from flowrun_api.listing import walk
from prefect_flowrun.wire import module_changes
from prefect_flowrun.wire.shared_blobs import Blob

_logger = logging.getLogger(__name__)

# Packed; more would have to be spread over the workers instead of lying with the scheduler.
ARCHIVE_LIMIT_BYTES = 8 * 2**20
_FOLDER_LIMIT_BYTES = 64 * 2**20
_FOLDER_LIMIT_FILES = 5000
# A file that was changed is seen this late at most.
_LOOK_INTERVAL_S = 1.0


class FolderTooLargeError(RuntimeError):
    """The flow's folder can't be sent to the workers of a standalone cluster; the message says what to do."""


@dataclass(frozen=True)
class Received:
    """What a worker was told of its code, and tells on when a task of its submits others."""

    paths: tuple[str, ...]
    archive: Blob


received: Received | None = None
"""Set on workers that were sent a folder; None elsewhere."""

sent: set[bytes] = set()
"""Digests of the archives that this process has made: a worker in the same process has the modules already."""


class FlowCode:
    """The code of this process's flow, as one cluster must be told of it."""

    def __init__(self, folder: Path | None = None, *, once: bool = False) -> None:
        """Begin with nothing sent.

        Args:
            folder: to be sent; None: the workers have the same folders as this process.
            once: as it is at first; what the flow writes into it later is not sent.
        """
        self._changes = module_changes.of_this_process()
        self._folder = _Folder(folder, once=once) if folder else None
        self._sys_path: tuple[str, ...] = ()
        self._paths: tuple[str, ...] = ()

    def paths(self) -> tuple[str, ...]:
        """Return where workers look for modules, the first place first: folders, or what is below the sent one."""
        if received is not None:
            return received.paths
        if self._sys_path != tuple(sys.path):
            self._sys_path = tuple(sys.path)
            installed = _installed()
            mine = [os.path.abspath(entry) for entry in self._sys_path if _is_the_users(entry, installed)]  # noqa: PTH100
            self._paths = tuple(dict.fromkeys(self._folder.below(mine) if self._folder else mine))
        return self._paths

    def archive(self) -> Blob | None:
        """Return the folder as it is now, None where none is sent.

        Raises:
            FolderTooLargeError: it is too large, and modules in it are used.
        """
        if received is not None:
            return received.archive
        return self._folder.current(self._is_used) if self._folder else None

    def changes(self) -> Blob | None:
        """Return what the flow has changed in its modules."""
        return self._changes.current()

    def _is_used(self, folder: Path) -> bool:
        return any(Path(str(module.__file__)).is_relative_to(folder) for module in self._changes.modules())


class _Folder:
    """A folder that is sent as one archive."""

    def __init__(self, folder: Path, *, once: bool) -> None:
        self._folder = folder
        self._once = once
        self._lock = threading.Lock()
        self._looked = -_LOOK_INTERVAL_S
        self._seen: list[tuple[str, int, int]] = []
        self._blob: Blob | None = None
        self._warned = False

    def below(self, folders: list[str]) -> list[str]:
        """Return folders of the path relative to this one; it comes first itself, if it is not among them."""
        inside = [Path(each).relative_to(self._folder) for each in folders if Path(each).is_relative_to(self._folder)]
        return [each.as_posix() for each in inside] or ["."]

    def current(self, is_used: Callable[[Path], bool]) -> Blob | None:
        """Return the archive, made anew if a file has changed."""
        with self._lock:
            if time.monotonic() - self._looked < _LOOK_INTERVAL_S or (self._once and self._blob is not None):
                return self._blob
            self._looked = time.monotonic()
            files = list(_files(self._folder))
            size = sum(length for _, _, length in files)
            too_large = size > _FOLDER_LIMIT_BYTES or len(files) > _FOLDER_LIMIT_FILES
            if not too_large and files == self._seen:
                return self._blob
            data = b"" if too_large else pack(self._folder, [name for name, _, _ in files])
            if too_large or len(data) > ARCHIVE_LIMIT_BYTES:
                self._refuse(is_used)
                return None
            self._seen, self._blob = files, Blob(data)
            sent.add(self._blob.digest)
            return self._blob

    def _refuse(self, is_used: Callable[[Path], bool]) -> None:
        limit = ARCHIVE_LIMIT_BYTES // 2**20
        message = (
            f"{self._folder} is too large to be sent to the cluster's workers (more than {limit} MiB packed, "
            f"{_FOLDER_LIMIT_BYTES // 2**20} MiB or {_FOLDER_LIMIT_FILES} files; hidden files do not count): "
            "put the flow and its modules into a folder of their own, and data where workers can read it"
        )
        if is_used(self._folder):
            raise FolderTooLargeError(message)
        if not self._warned:
            self._warned = True
            _logger.warning("%s. Modules and files beside the flow are not found there", message)


def _files(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Yield path, time of change in ns and size of each file; stop when it is clear that there are too many."""
    total, count = 0, 0
    for file in walk(folder):
        try:
            found = file.stat()
        except OSError:  # a link to nowhere, or gone meanwhile
            continue
        if not file.is_file():
            continue
        yield file.relative_to(folder).as_posix(), found.st_mtime_ns, found.st_size
        total, count = total + found.st_size, count + 1
        if total > _FOLDER_LIMIT_BYTES or count > _FOLDER_LIMIT_FILES:
            return


def _installed() -> tuple[str, ...]:
    folders = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders.update(site.getsitepackages())
    return tuple(os.path.realpath(folder) for folder in folders if folder)


def _is_the_users(entry: str, installed: tuple[str, ...]) -> bool:
    if "-packages" in entry or not os.path.isdir(entry or "."):  # noqa: PTH112
        return False
    return not os.path.realpath(entry or ".").startswith(installed)
