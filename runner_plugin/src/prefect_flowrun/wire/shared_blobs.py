"""Bytes that several tasks need reach the cluster once; bytes that one task needs travel with it.

Prefect's context, the task itself and large parameters are the same for many tasks. The first task that needs some
bytes carries them along, so a task submitted once costs nothing extra; from the second on they are put on the cluster
and tasks only say which. Bytes are known by their content: a parameter that has changed in between is another one.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

# Small against what a run needs anyway; a parcel that falls out is put on the cluster again if it is needed again.
_KEPT_BYTES = 256 * 2**20
_KEPT_PARCELS = 512
_REMEMBERED = 4096


@dataclass(frozen=True)
class Blob:
    """Bytes, and the digest they are known by."""

    data: bytes = field(repr=False)

    @cached_property
    def digest(self) -> bytes:
        """Digest of the content."""
        return hashlib.blake2b(self.data, digest_size=16).digest()


@dataclass
class Manifest:
    """The blobs of one payload: some inside it, the others in parcels beside it."""

    entries: list[tuple[bytes, bytes | int]] = field(default_factory=list)
    """Digest, and the bytes themselves or the index of the parcel."""
    parcels: list[Any] = field(default_factory=list)

    def add(self, blob: Blob, parcel: Any | None) -> int:
        """Note a blob and return its index.

        Args:
            blob: the bytes.
            parcel: where they are on the cluster; None if they travel along.
        """
        if parcel is None:
            self.entries.append((blob.digest, blob.data))
        else:
            self.entries.append((blob.digest, len(self.parcels)))
            self.parcels.append(parcel)
        return len(self.entries) - 1


class Shelf:
    """What of one connection is on the cluster already."""

    def __init__(self, put: Callable[[bytes], Any]) -> None:
        """Begin with nothing.

        Args:
            put: of the engine.
        """
        self._put = put
        self._lock = threading.Lock()
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._parcels: OrderedDict[bytes, tuple[Any, int]] = OrderedDict()
        self._bytes = 0

    def parcel(self, blob: Blob) -> Any | None:
        """Return the parcel that holds these bytes; None the first time, when they had better travel along.

        Args:
            blob: the bytes.
        """
        with self._lock:
            if (kept := self._parcels.get(blob.digest)) is not None:
                self._parcels.move_to_end(blob.digest)
                return kept[0]
            if blob.digest not in self._seen:
                self._seen[blob.digest] = None
                if len(self._seen) > _REMEMBERED:
                    self._seen.popitem(last=False)
                return None
            parcel = self._put(blob.data)
            self._keep(blob, parcel)
            return parcel

    def _keep(self, blob: Blob, parcel: Any) -> None:
        self._parcels[blob.digest] = (parcel, len(blob.data))
        self._bytes += len(blob.data)
        while len(self._parcels) > 1 and (self._bytes > _KEPT_BYTES or len(self._parcels) > _KEPT_PARCELS):
            _, (_, size) = self._parcels.popitem(last=False)
            self._bytes -= size
