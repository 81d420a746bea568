"""The flow's code and files: a source, beside a writable folder in which every process of the run works.

On driver, coordinators and workers alike, under the same paths. The plugin fills the working folder when a process
starts (`prefect_flowrun.source`), so that functions, classes and files are found there by name, as on a laptop. Code in
git is fetched by the driver alone, and workers get from it what it has fetched: one commit, however the branch moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flowrun_api.kinds.common import FlowSource, GitSource
from flowrun_operator.build.pod import env

SOURCE_PATH = "/flowrun/source"
WORK_PATH = "/flowrun/work"
_CREDENTIALS_PATH = "/flowrun/git"
_CREDENTIALS = "credentials"


@dataclass(frozen=True)
class SourceParts:
    """What a container needs of it; nothing, if the code is in the image."""

    env: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)
    mounts: list[dict[str, Any]] = field(default_factory=list)
    working_dir: str | None = None


def source_parts(source: FlowSource | None, *, fetches: bool = False) -> SourceParts:
    """Return what a container needs to work in a folder with the source.

    Args:
        source: Where code and files are; None: in the image, whose own working directory stays.
        fetches: Whether this container fetches code in git; others get it from the one that does.
    """
    if source is None:
        return SourceParts()
    work = {"name": "flowrun-work"}
    volumes: list[dict[str, Any]] = [{**work, "emptyDir": {}}]
    mounts: list[dict[str, Any]] = [{**work, "mountPath": WORK_PATH}]
    if source.git is not None:
        told, volume, mount = _git(source.git) if fetches else ([], [], [])
        return SourceParts([*env(FLOWRUN_WORK=WORK_PATH), *told], [*volumes, *volume], [*mounts, *mount], WORK_PATH)
    given = {"name": "flowrun-source"}
    return SourceParts(
        env=env(FLOWRUN_SOURCE=SOURCE_PATH, FLOWRUN_WORK=WORK_PATH),
        volumes=[{**given, **_volume(source)}, *volumes],
        mounts=[{**given, "mountPath": SOURCE_PATH, "readOnly": True}, *mounts],
        working_dir=WORK_PATH,
    )


def _git(git: GitSource) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return variables, volumes and mounts of the container that fetches the code."""
    told = env(FLOWRUN_GIT=git.told)
    secret = git.credentials_secret
    if secret is None:
        return told, [], []
    volume = {"name": "flowrun-git"}
    items = [{"key": secret.key, "path": _CREDENTIALS}]
    return (
        [*told, *env(FLOWRUN_GIT_CREDENTIALS_FILE=f"{_CREDENTIALS_PATH}/{_CREDENTIALS}")],
        [{**volume, "secret": {"secretName": secret.name, "items": items}}],
        [{**volume, "mountPath": _CREDENTIALS_PATH, "readOnly": True}],
    )


def _volume(source: FlowSource) -> dict[str, Any]:
    if source.config_map:
        return {"configMap": {"name": source.config_map}}
    return {"persistentVolumeClaim": {"claimName": source.persistent_volume_claim, "readOnly": True}}
