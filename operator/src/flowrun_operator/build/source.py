"""The flow's code and files: mounted read-only, beside a writable folder in which every process of the run works.

On driver, coordinators and workers alike, under the same paths. The plugin fills the working folder when a process
starts (`prefect_flowrun.source`), so that functions, classes and files are found there by name, as on a laptop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flowrun_api.kinds.common import FlowSource
from flowrun_operator.build.pod import env

SOURCE_PATH = "/flowrun/source"
WORK_PATH = "/flowrun/work"


@dataclass(frozen=True)
class SourceParts:
    """What a container needs of it; nothing, if the code is in the image."""

    env: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)
    mounts: list[dict[str, Any]] = field(default_factory=list)
    working_dir: str | None = None


def source_parts(source: FlowSource | None) -> SourceParts:
    """Return what a container needs to work in a folder with the source.

    Args:
        source: Where code and files are; None: in the image, whose own working directory stays.
    """
    if source is None:
        return SourceParts()
    given = {"name": "flowrun-source"}
    work = {"name": "flowrun-work"}
    return SourceParts(
        env=env(FLOWRUN_SOURCE=SOURCE_PATH, FLOWRUN_WORK=WORK_PATH),
        volumes=[{**given, **_volume(source)}, {**work, "emptyDir": {}}],
        mounts=[{**given, "mountPath": SOURCE_PATH, "readOnly": True}, {**work, "mountPath": WORK_PATH}],
        working_dir=WORK_PATH,
    )


def _volume(source: FlowSource) -> dict[str, Any]:
    if source.config_map:
        return {"configMap": {"name": source.config_map}}
    return {"persistentVolumeClaim": {"claimName": source.persistent_volume_claim, "readOnly": True}}
