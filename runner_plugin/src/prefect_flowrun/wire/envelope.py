"""The payload of one task as bytes."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from prefect_flowrun.wire.versions import Versions


@dataclass(frozen=True)
class Envelope:
    """The pickled payload. Holds only plain types.

    So versions are compared, and it is decided whether the task may start once more, before anything is read that could
    end the process.
    """

    versions: Versions
    task_run_id: UUID
    flow_run_id: UUID | None
    lost_task_retries: int
    """How often the task may start again after a lost worker."""
    blobs: list[tuple[bytes, bytes | int]]
    """Digest, and the bytes themselves or the index of the parcel that has them."""
    context: int
    task: int
    call: int
    large: dict[str, int]
    code: tuple[tuple[str, ...], int | None, int | None]
    """Where modules are; blobs of the flow's folder and of what it has changed in modules, if there are any."""
    redirect: str | None
    """Which runners of flows the worker replaces, as the driver does; None: none."""
    all_events: bool = False
    """Whether Prefect hears of a short task run's beginning, too."""

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
