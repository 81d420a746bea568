"""The payload of one task as bytes."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect_flowrun.wire.versions import Versions


@dataclass(frozen=True)
class Envelope:
    """The pickled payload. Holds only plain types, so that versions can be compared before anything else is read."""

    versions: Versions
    blobs: list[tuple[bytes, bytes | int]]
    context: int
    task: int
    call: bytes
    large: dict[str, int]
    lost_task_retries: int | None
    code: tuple[tuple[str, ...], int | None, int | None]
    """Where modules are; blobs of the flow's folder and of what it has changed in modules, if there are any."""
    redirect: str | None
    """Which runners of flows the worker replaces, as the driver does; None: none."""

    def to_bytes(self) -> bytes:
        """Serialise."""
        return pickle.dumps(tuple(vars(self).values()), protocol=5)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Envelope:
        """Read what `to_bytes` wrote.

        Args:
            payload: as it has travelled.
        """
        return cls(*pickle.loads(payload))  # noqa: S301 - from our own driver
