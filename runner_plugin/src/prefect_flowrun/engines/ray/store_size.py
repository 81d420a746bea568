"""How large a node's object store is: fitted to what its container has in fact.

The operator plans with the spec, but a LimitRange may set another limit, and the user may have mounted a /dev/shm of
another size (issue 11).
"""

from __future__ import annotations

import os
from pathlib import Path

from flowrun_api import environment

# What Ray itself takes of a node's memory, and refuses to go below.
MEMORY_PART = 0.3
SMALLEST_BYTES = 75 * 2**20
# Ray compares the store with the free space, which is a little less than the volume.
VOLUME_PART = 0.95
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
# Of cgroups v2 and v1, as a container sees its own.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def fitted(planned: int | None, nodes: int = 1) -> int | None:
    """Return the size of the store in bytes; None leaves it to Ray.

    Args:
        planned: by the operator, from the spec. None leaves it to Ray.
        nodes: that share the container: heads of one driver.
    """
    if planned is None:
        return None
    limit = container_limit() if os.environ.get(environment.RAY_FIT_STORE) else None
    return fit(planned, nodes, limit, _volume_bytes(SHARED_MEMORY))


def fit(planned: int, nodes: int, limit: int | None, volume: int | None) -> int:
    """Return a size that fits, in bytes.

    Args:
        planned: counts where the container has no limit that the operator did not know of.
        nodes: that share limit and volume.
        limit: of the container's memory, in bytes; None: the plan knew it, or there is none.
        volume: size of /dev/shm in bytes; None: there is none.
    """
    size: float = planned if limit is None else limit * MEMORY_PART * VOLUME_PART / nodes
    if volume is not None:
        size = min(size, volume * VOLUME_PART / nodes)
    # Where even this is more than /dev/shm has, Ray says so and puts its store into /tmp.
    return max(SMALLEST_BYTES, int(size))


def container_limit(files: tuple[Path, ...] = _LIMITS) -> int | None:
    """Return the memory limit of this container in bytes; None if there is none.

    Args:
        files: where to look.
    """
    for file in files:
        try:
            limit = int(file.read_text())
        except (OSError, ValueError):  # another version of cgroups; "max"
            continue
        # Version 1 says "none" by a number beyond all memory.
        return limit if limit < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") else None
    return None


def _volume_bytes(path: Path) -> int | None:
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_blocks * found.f_frsize
