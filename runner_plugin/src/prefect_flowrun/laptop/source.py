"""The flow's code on this machine: what a manifest's ConfigMap holds, or files that are there already."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prefect_flowrun.laptop.problem import CannotRun
from prefect_flowrun.laptop.spec import Source

Raw = dict[str, Any]


def lay_out(source: Source, others: Iterable[Raw], folder: Path) -> None:
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
            write(other, folder)
            return
    raise CannotRun(
        f"the flow's code is in the ConfigMap {source.config_map}, which is not in the same file as the FlowRun"
    )


def write(config_map: Raw, folder: Path) -> None:
    """Write the entries of a ConfigMap as files.

    Args:
        config_map: as its manifest has it.
        folder: empty.

    Raises:
        CannotRun: an entry is none that the API server would take.
    """
    for name, text in (config_map.get("data") or {}).items():
        (folder / _file(name)).write_text(str(text))
    for name, text in (config_map.get("binaryData") or {}).items():
        try:
            (folder / _file(name)).write_bytes(base64.b64decode(text, validate=True))
        except (binascii.Error, TypeError, ValueError):
            raise CannotRun(f"binaryData.{name} of the ConfigMap is not base64") from None


def _file(name: str) -> str:
    # As the API server would refuse it.
    if "/" in name or name in {".", ".."}:
        raise CannotRun(f"{name!r} is no key of a ConfigMap")
    return name
