"""The flow's code on this machine: what a manifest's ConfigMap holds, or files that are there already."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flowrun_api.config_map import ConfigMapError, write_files
from flowrun_api.kinds.common import FlowSource
from prefect_flowrun.laptop.problem import CannotRun

Raw = dict[str, Any]


def lay_out(source: FlowSource, others: Iterable[Raw], folder: Path) -> None:
    """Write the files of a source, as the kubelet mounts them.

    Args:
        source: of the flow.
        others: what else is in the run's file.
        folder: empty.

    Raises:
        CannotRun: the source is not in the file.
    """
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
