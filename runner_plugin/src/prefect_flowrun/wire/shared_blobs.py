"""Bytes that several tasks need reach the cluster once; bytes that one task needs travel with it.

Prefect's context, the task itself and large parameters are the same for many tasks. The first task that needs a few
bytes carries them along, so a task submitted once costs nothing extra; from the second on they are put on the cluster
and tasks only say which. Many bytes go there at once: on their way inside a payload the engine would copy them three
times over. Bytes are known by their content: a parameter that has changed in between is another one.
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

# Small against what a run needs anyway; a parcel that falls out is put on the cluster again if it is needed again.
_KEPT_BYTES = 256 * 2**20
_KEPT_PARCELS = 512
# More never travel inside a payload.
ALONG_BYTES = 2**20
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

    def __init__(self, put: Callable[[bytes], Any], holds: Callable[[Any], bool] = lambda _: True) -> None:
        """Begin with nothing.

        Args:
            put: of the engine.
            holds: of the engine.
        """
        self._put = put
        self._holds = holds
        self._lock = threading.Lock()  # never held while bytes travel
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._on_the_way: dict[bytes, Future[Any]] = {}
        # Held by tasks that need them: not to be put there twice, but not to be kept for nobody either.
        self._alive: weakref.WeakValueDictionary[bytes, Any] = weakref.WeakValueDictionary()
        self._kept: OrderedDict[bytes, tuple[Any, int]] = OrderedDict()
        self._bytes = 0

    def parcel(self, blob: Blob) -> Any | None:
        """Return the parcel that holds these bytes; None the first time, when a few had better travel along.

        Args:
            blob: the bytes.

        Raises:
            ConnectionError: the cluster can't be reached.
        """
        with self._lock:
            again = self._note(blob)
            if (parcel := self._find(blob, keep=again)) is not None:
                return parcel
            if not again and len(blob.data) <= ALONG_BYTES:
                return None
            first = blob.digest not in self._on_the_way
            on_the_way = self._on_the_way.setdefault(blob.digest, Future())
        if not first:
            return on_the_way.result()  # another thread puts the same bytes there
        return self._bring(blob, on_the_way, keep=again)

    def _bring(self, blob: Blob, on_the_way: Future[Any], *, keep: bool) -> Any:
        try:
            parcel = self._put(blob.data)
        except BaseException as error:
            on_the_way.set_exception(error)
            raise
        else:
            on_the_way.set_result(parcel)
            with self._lock:
                self._alive[blob.digest] = parcel
                if keep:
                    self._keep(blob, parcel)
            return parcel
        finally:
            with self._lock:
                del self._on_the_way[blob.digest]

    def _note(self, blob: Blob) -> bool:
        """Tell whether these bytes were asked for before."""
        if blob.digest in self._seen:
            return True
        self._seen[blob.digest] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return False

    def _find(self, blob: Blob, *, keep: bool) -> Any | None:
        parcel = self._alive.get(blob.digest)
        if parcel is None:
            return None
        if not self._holds(parcel):
            del self._alive[blob.digest]
            if (lost := self._kept.pop(blob.digest, None)) is not None:
                self._bytes -= lost[1]
            return None
        if keep:
            self._keep(blob, parcel)
        return parcel

    def _keep(self, blob: Blob, parcel: Any) -> None:
        if blob.digest not in self._kept:
            self._bytes += len(blob.data)
        self._kept[blob.digest] = (parcel, len(blob.data))
        self._kept.move_to_end(blob.digest)
        while len(self._kept) > 1 and (self._bytes > _KEPT_BYTES or len(self._kept) > _KEPT_PARCELS):
            _, (_, size) = self._kept.popitem(last=False)
            self._bytes -= size
