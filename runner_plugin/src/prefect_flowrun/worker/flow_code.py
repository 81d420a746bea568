"""The flow's code on a worker: before a task is unpickled its modules are found by the names that the driver uses."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flowrun_api import environment
from flowrun_api.archive import unpack_zip
from prefect_flowrun.source import import_path
from prefect_flowrun.wire import flow_code, module_changes
from prefect_flowrun.wire.shared_blobs import Blob

Paths = tuple[str, ...]

_lock = threading.Lock()
_entered: tuple[Paths, bytes | None, bytes | None] | None = None
_folder: Path | None = None


def enter(
    paths: Paths,
    archive: bytes | None,
    changes: bytes | None,
    data: Callable[[bytes], bytes],
) -> None:
    """Have this process import what the driver has imported. Does nothing where nothing has changed.

    Args:
        paths: where modules are, the first place first: folders, or places in the archive.
        archive: digest of the flow's folder, if the driver has sent it.
        changes: digest of what the flow has changed in its modules, if it has.
        data: returns what a digest stands for.
    """
    global _entered  # noqa: PLW0603 - one per process, like sys.modules itself
    wanted = (paths, archive, changes)
    if _entered == wanted:
        return
    with _lock:
        before = _entered or ((), None, None)
        if archive in flow_code.sent:
            pass  # a worker in the flow's own process, as of a user's LocalCluster(processes=False)
        elif archive is not None:
            if before[:2] != (paths, archive):
                _move_to(_unpacked(archive, data), paths)
                flow_code.received = flow_code.Received(paths, Blob(data(archive)))
        elif paths != before[0]:
            import_path.put_first([path for path in paths if Path(path).is_dir()])
        if changes is not None and wanted[1:] != before[1:]:
            module_changes.of_this_process().take(data(changes))
        _entered = wanted


@contextmanager
def missing_modules_explained(node: str) -> Iterator[None]:
    """Say what to do about a module that the driver has and this worker has not.

    Args:
        node: this worker, for humans.

    Raises:
        ModuleNotFoundError: with the advice, in place of one without.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error} on worker {node}, where the driver has imported it. The image of the cluster's workers must have "
            "it, or the flow a source (spec.flow.source); a script sends the modules of its own folder",
            name=error.name,
        ) from error


def _move_to(folder: Path, paths: Paths) -> None:
    """Find modules in a folder that was sent, and forget those of the one that was here before it."""
    global _folder  # noqa: PLW0603
    if _folder is not None and _folder != folder:
        import_path.leave(str(_folder))
        for name, module in list(sys.modules.items()):
            if (file := getattr(module, "__file__", None)) and Path(file).is_relative_to(_folder):
                del sys.modules[name]
    _folder = folder
    import_path.put_first([str(folder / path) for path in paths])


def _unpacked(digest: bytes, data: Callable[[bytes], bytes]) -> Path:
    """Return the folder of an archive; processes of one machine share it."""
    work, source = os.environ.get(environment.WORK), os.environ.get(environment.SOURCE)
    if work and not source:
        return _filled(Path(work), digest, data)
    base = _base()
    folder = base / digest.hex()
    if not folder.exists():
        new = Path(tempfile.mkdtemp(dir=base))
        unpack_zip(data(digest), new)
        try:
            new.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(new, ignore_errors=True)
    return folder


def _filled(work: Path, digest: bytes, data: Callable[[bytes], bytes]) -> Path:
    """Fill the working folder of this pod with what the driver has fetched; processes of the pod take turns."""
    mark = work / f".flowrun-{digest.hex()}"
    with (work / ".flowrun-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists():
            unpack_zip(data(digest), work)
            mark.touch()
    return work


def _base() -> Path:
    base = Path(tempfile.gettempdir()) / f"flowrun-code-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    if base.lstat().st_uid != os.getuid() or base.is_symlink():
        # Not ours: whoever has made it could change the code.
        base = Path(tempfile.mkdtemp(prefix="flowrun-code-"))
    return base
