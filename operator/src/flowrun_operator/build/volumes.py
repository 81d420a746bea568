"""Our volumes beside the user's: where both want the same path or name, the user's wins.

Every manual of Ray and PyTorch says to mount a memory volume at /dev/shm, and the API server refuses a pod with two
mounts at one path or two volumes of one name (issue 11).
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import Any

from flowrun_api.kinds.common import PodOptions
from flowrun_operator.build.merge import merged
from flowrun_operator.build.template import containers, listed, main_container, spec_of

Entry = dict[str, Any]


@dataclass(frozen=True)
class Volumes:
    """Volumes of a pod and their mounts in its main container."""

    volumes: list[Entry] = field(default_factory=list)
    mounts: list[Entry] = field(default_factory=list)


def beside_users(ours: Volumes, options: PodOptions) -> Volumes:
    """Return our volumes and those of the options, in a pod over which `podTemplate` will be merged.

    A mount of the user's at a path of ours replaces it. A volume of the user's with a name of ours takes its place if
    the user mounts it nowhere, and else ours gets another name. A volume of ours that nothing mounts is left out.

    Args:
        ours: What the pod needs.
        options: What the user asked for.
    """
    given, template = options.volumes or [], listed(spec_of(options.pod_template), "volumes")
    own_mounts = [*(options.volume_mounts or []), *listed(main_container(options.pod_template), "volumeMounts")]
    taken = {_path(mount) for mount in own_mounts}
    mounts = [mount for mount in ours.mounts if _path(mount) not in taken]
    mounted_by_user = {mount.get("name") for mount in [*own_mounts, *_mounts_of_all(options.pod_template)]}
    volumes: list[Entry] = []
    for volume in ours.volumes:
        name = volume["name"]
        theirs = next((each for each in [*given, *template] if each.get("name") == name), None)
        if theirs is not None and name in mounted_by_user:
            renamed = f"flowrun-{name}"
            mounts = [{**mount, "name": renamed} if mount["name"] == name else mount for mount in mounts]
            volumes.append({**volume, "name": renamed})
        elif theirs is None or _same_kind(volume, theirs):
            volumes.append(merged(volume, theirs or {}))
    used = mounted_by_user | {mount["name"] for mount in mounts}
    volumes = [volume for volume in volumes if volume["name"] in used]
    names = {volume["name"] for volume in volumes}
    return Volumes(
        [*volumes, *(volume for volume in given if volume.get("name") not in names)],
        [*mounts, *(options.volume_mounts or [])],
    )


def _path(mount: Entry) -> str:
    return posixpath.normpath(str(mount.get("mountPath")))


def _same_kind(ours: Entry, theirs: Entry) -> bool:
    """Tell whether both have the same source, so that theirs may say a part of ours (a size)."""
    return set(theirs) <= set(ours)


def _mounts_of_all(template: Entry | None) -> list[Entry]:
    return [mount for container in containers(template) for mount in listed(container, "volumeMounts")]
