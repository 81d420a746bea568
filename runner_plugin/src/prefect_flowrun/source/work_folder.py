"""Fills the working folder of a pod from the source that is mounted beside it, before any code of the user's runs.

    source/                       work/  (writable; the working directory)
      ConfigMap: flow.py      ->    flow.py          a copy: a later change does not reach a process that has begun
      claim: data/            ->    data -> source   a link: it may be gigabytes
      source.tar.gz           ->    what is in it    (or source.zip)

What is in the folder already stays, such as a volume that the user has mounted there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from flowrun_api import environment
from flowrun_api.archive import NAMES, ArchiveError, unpack

# How the kubelet lays a ConfigMap out: every entry is a link through this one, which it replaces when they change.
_CONFIG_MAP_MARK = "..data"
# Left in a folder that is filled: another process of the pod does not do it again, over what the flow has written.
_DONE = ".flowrun-source"
# A volume's own, and nobody may read it.
_NOT_THE_USERS = {"lost+found"}


class SourceError(Exception):
    """The source can't be used; the message is meant for the flow's author."""


class SourceUnreachableError(Exception):
    """Where the source is, nobody answers; the message is meant for the flow's author."""


def prepare(env: Mapping[str, str] = os.environ) -> None:
    """Fill the working folder that the operator has named; does nothing where it has named none.

    Args:
        env: usually `os.environ`.

    Raises:
        SourceError: the source can't be read, or an archive in it not be unpacked.
        SourceUnreachableError: where the code is, nobody answers.
    """
    source, work, git = env.get(environment.SOURCE), env.get(environment.WORK), env.get(environment.GIT)
    if source and work:
        fill(Path(source), Path(work))
    elif git and work:
        from prefect_flowrun.source import git_checkout  # noqa: PLC0415 - few runs have it, and it is not stdlib only

        git_checkout.fill(git, env.get(environment.GIT_CREDENTIALS_FILE), Path(work))


def fetched(env: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder of code that only this process has fetched, None where workers have it too.

    Args:
        env: usually `os.environ`.
    """
    return Path(env[environment.WORK]) if env.get(environment.GIT) and env.get(environment.WORK) else None


def fill(source: Path, work: Path) -> None:
    """Put what is in the source into the working folder.

    Args:
        source: read-only; a ConfigMap's files are copied, anything else is linked.
        work: writable.

    Raises:
        SourceError: the source can't be read, or an archive in it not be unpacked.
    """
    if (work / _DONE).exists():
        return
    try:
        copied = (source / _CONFIG_MAP_MARK).exists()
        names = [name for name in sorted(each.name for each in source.iterdir()) if not name.startswith("..")]
        for name in names:
            if name in NAMES:
                unpack(source / name, work)
        for name in names:
            target = work / name
            if name in NAMES or name in _NOT_THE_USERS or os.path.lexists(target):
                continue
            with suppress(FileExistsError):  # two processes may fill one folder
                if copied:
                    _copy(source / name, target)
                else:
                    target.symlink_to(source / name)
        (work / _DONE).touch()
    except ArchiveError as error:
        raise SourceError(f"The flow's source can't be used: {error}") from error
    except OSError as error:
        raise SourceError(f"The flow's source can't be used: {error.strerror}: {error.filename}") from error


def _copy(file: Path, target: Path) -> None:
    """Copy a file so that nobody ever finds half of it."""
    new = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(file, new)
    new.replace(target)
