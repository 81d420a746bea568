"""Code in a git repository: one commit of it, laid into the working folder of the driver.

By dulwich, so that an image needs no git. Submodules and large files (LFS) are not followed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from prefect_flowrun.source.work_folder import SourceError, SourceUnreachableError

_COMMIT = re.compile(r"[0-9a-f]{40}$")
_HEAD = "HEAD"
# Hosts ask for some name beside a token; those that look at it take this one (GitHub, GitLab, Gitea).
_USER = "oauth2"
_TRIES_AFTER_S = (0.0, 1.0, 4.0)


def fill(told: str, credentials_file: str | None, work: Path) -> None:
    """Fetch one commit and lay its files into the working folder.

    Args:
        told: JSON with `url`, `ref` and `path`, as the operator writes it.
        credentials_file: holds a token, or USER:TOKEN; None: everybody may read the repository.
        work: writable; what is in it already stays.

    Raises:
        SourceError: there is no such repository, ref or path, or the credentials are wrong.
        SourceUnreachableError: the host does not answer.
    """
    try:
        import dulwich  # noqa: F401, PLC0415 - an image of the user's may be without it
    except ModuleNotFoundError:
        raise SourceError("spec.flow.source.git needs dulwich in the image: pip install prefect-flowrun[git]") from None
    wanted = json.loads(told)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "checkout"
        commit = _fetch(wanted["url"], wanted["ref"], _credentials(credentials_file), folder)
        place = folder / wanted["path"]
        if not place.is_dir():
            raise SourceError(f"spec.flow.source.git: there is no folder {wanted['path']} in commit {commit[:12]}")
        _move(place, work)
    print(f"[flowrun] {wanted['url']} at {wanted['ref']}: commit {commit}", flush=True)  # noqa: T201 - the driver's log


def _move(place: Path, work: Path) -> None:
    """Move what is in a folder; not the folder itself, whose rights those of a volume may not be given."""
    for entry in place.iterdir():
        if entry.name != ".git" and not os.path.lexists(work / entry.name):
            shutil.move(entry, work / entry.name)


def _credentials(file: str | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise SourceError(f"spec.flow.source.git.credentialsSecret can't be read: {error}") from None
    user, colon, token = text.partition(":")
    return {"username": user, "password": token} if colon else {"username": _USER, "password": text}


def _fetch(url: str, ref: str, credentials: dict[str, Any], folder: Path) -> str:
    """Check a commit out and return its id; a host that does not answer is asked again."""
    for pause_s in _TRIES_AFTER_S:
        time.sleep(pause_s)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            return _clone(url, ref, credentials, folder)
        except SourceUnreachableError as error:
            last = error
    raise last


def _clone(url: str, ref: str, credentials: dict[str, Any], folder: Path) -> str:
    from dulwich import errors, porcelain  # noqa: PLC0415 - see `fill`
    from dulwich.client import HTTPUnauthorized  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    where = f"spec.flow.source.git: {url}"
    # Of a commit nothing says on which branch it is: all are fetched.
    shallow: dict[str, Any] = {} if _COMMIT.match(ref) else {"depth": 1}
    branch = None if ref == _HEAD or not shallow else ref
    sink = porcelain.NoneStream()
    try:
        with porcelain.clone(url, str(folder), branch=branch, errstream=sink, **shallow, **credentials) as repo:
            if not shallow:
                porcelain.reset(repo, "hard", ref)
            return str(repo.head().decode())
    except HTTPUnauthorized:
        raise SourceError(f"{where}: the host does not know who you are: credentialsSecret") from None
    except (errors.NotGitRepository, KeyError, ValueError) as error:
        raise SourceError(f"{where}: there is no such repository, or no {ref} in it ({error})") from None
    except (HTTPError, OSError, errors.GitProtocolError, errors.HangupException) as error:
        raise SourceUnreachableError(f"{where}: the host does not answer: {error}") from None
    except porcelain.Error as error:
        raise SourceError(f"{where}: {error}") from None
