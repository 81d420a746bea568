"""The entries of a ConfigMap as files, as the kubelet mounts them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class ConfigMapError(ValueError):
    """An entry is none that the API server would take; the message names it."""


def write_files(config_map: Mapping[str, Any], folder: Path) -> None:
    """Write the entries of a ConfigMap as files.

    Args:
        config_map: as its manifest has it.
        folder: empty.

    Raises:
        ConfigMapError: an entry is none that the API server would take.
        OSError: the folder can't be written.
    """
    for name, text in (config_map.get("data") or {}).items():
        (folder / _file(name)).write_text(str(text))
    for name, text in (config_map.get("binaryData") or {}).items():
        try:
            (folder / _file(name)).write_bytes(base64.b64decode(text, validate=True))
        except (binascii.Error, TypeError, ValueError):
            raise ConfigMapError(f"binaryData.{name} of the ConfigMap is not base64") from None


def _file(name: str) -> str:
    if "/" in name or name in {".", ".."}:
        raise ConfigMapError(f"{name!r} is no key of a ConfigMap")
    return name
