"""Finds large parameters, and spares serialising the same ones again where they can't have changed."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from prefect_flowrun.wire.shared_blobs import Blob

# Pickling one of these says nothing about how large the others are.
_SCALARS = (int, float, bool, type(None))
_IMMUTABLE = (bytes, str)
_KEPT = 8
_KEPT_EACH_BYTES = 32 * 2**20

_Known = OrderedDict[int, tuple[Any, Blob]]


class LargeValues:
    """Large parameters of the submits of one runner.

    A list or an array may be changed between two submits, so it is serialised each time, and only its transport is
    spared. `bytes` and `str` can't change; nor can what one `map` call gives to all its tasks.
    """

    def __init__(self) -> None:
        self._immutable: _Known = OrderedDict()
        self._lock = threading.Lock()  # threads of a flow submit at the same time, and push out each other's values
        self._mapping = threading.local()

    @contextlib.contextmanager
    def unchanging(self) -> Iterator[None]:
        """Trust that no parameter changes in between: within one call of `map`."""
        self._mapping.known = OrderedDict()
        try:
            yield
        finally:
            self._mapping.known = None

    def known(self, parameters: dict[str, Any]) -> dict[str, Blob]:
        """Return the large parameters that need not be serialised again.

        Args:
            parameters: of a call.
        """
        found = {}
        with self._lock:
            for name, value in parameters.items():
                for known in self._all_known():
                    # The value is kept with its blob: no other object can have its address meanwhile.
                    if (entry := known.get(id(value))) is not None:
                        known.move_to_end(id(value))
                        found[name] = entry[1]
        return found

    def find(self, parameters: dict[str, Any], dumps: Callable[[Any], bytes | None], threshold: int) -> dict[str, Blob]:
        """Return the large parameters, serialised.

        Args:
            parameters: of a call.
            dumps: serialises one; None if its bytes mean something to this one task only.
            threshold: bytes from which on a value is large.
        """
        found = {}
        for name, value in parameters.items():
            if isinstance(value, _SCALARS) or (isinstance(value, _IMMUTABLE) and len(value) <= threshold):
                continue
            if (data := dumps(value)) is not None and len(data) > threshold:
                found[name] = Blob(data)
                self._remember(value, found[name])
        return found

    def _remember(self, value: Any, blob: Blob) -> None:
        mapping = getattr(self._mapping, "known", None)
        if mapping is not None:
            _put(mapping, value, blob)
        elif isinstance(value, _IMMUTABLE) and len(blob.data) <= _KEPT_EACH_BYTES:
            with self._lock:
                _put(self._immutable, value, blob)

    def _all_known(self) -> Iterator[_Known]:
        if self._immutable:
            yield self._immutable
        if mapping := getattr(self._mapping, "known", None):
            yield mapping


def _put(known: _Known, value: Any, blob: Blob) -> None:
    known[id(value)] = (value, blob)
    if len(known) > _KEPT:
        known.popitem(last=False)
