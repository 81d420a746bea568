"""The flow's code on this machine: what a manifest's ConfigMap holds, or what is in git."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flowrun_api import environment
from flowrun_api.config_map import ConfigMapError, write_files
from flowrun_api.kinds.common import FlowSource, GitSource
from prefect_flowrun.laptop.problem import CannotRun

Raw = dict[str, Any]


def lay_out(
    source: FlowSource, others: Iterable[Raw], folder: Path, work: Path, own: Mapping[str, str] = os.environ
) -> None:
    """Write the files of a source, as the kubelet mounts them; those in git into the working folder itself.

    Args:
        source: of the flow.
        others: what else is in the run's file.
        folder: for what is mounted; empty.
        work: in which the run's processes work; empty.
        own: of the command; may name a file with the credentials for git.

    Raises:
        CannotRun: the source can't be had here.
    """
    if source.git is not None:
        _check_out(source.git, work, own.get(environment.GIT_CREDENTIALS_FILE))
        return
    if source.config_map is None:
        claim = source.persistent_volume_claim
        raise CannotRun(f"the flow's code is in the PersistentVolumeClaim {claim}, which is not on this machine")
    for other in others:
        if other["kind"] == "ConfigMap" and other["metadata"].get("name") == source.config_map:
            try:
                write_files(other, folder)
            except ConfigMapError as error:
                raise CannotRun(str(error)) from None
            return
    raise CannotRun(
        f"the flow's code is in the ConfigMap {source.config_map}, which is not in the same file as the FlowRun"
    )


def _check_out(git: GitSource, work: Path, credentials_file: str | None) -> None:
    from prefect_flowrun.source import git_checkout  # noqa: PLC0415 - few runs have it
    from prefect_flowrun.source.work_folder import SourceError, SourceUnreachableError  # noqa: PLC0415

    if git.credentials_secret is not None and credentials_file is None:
        name = environment.GIT_CREDENTIALS_FILE
        raise CannotRun(f"credentialsSecret is on the cluster: set {name} to a file with a token, or USER:TOKEN")
    try:
        git_checkout.fill(git.told, credentials_file, work)
    except (SourceError, SourceUnreachableError) as error:
        raise CannotRun(str(error)) from None
