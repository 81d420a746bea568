"""The Lease as the election sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from flowrun_operator.observe.fields import at

Raw = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """Who leads, by the words of the Lease.

    Args:
        holder: Identity of the leader; empty if there is none.
        duration_s: Seconds without a renewal after which another may take the Lease.
        acquired: When the holder took it, by the holder's clock.
        renewed: When the holder renewed it last, by the holder's clock: compared for equality only.
        transitions: How often the holder has changed.
    """

    holder: str = ""
    duration_s: float = 0.0
    acquired: str | None = None
    renewed: str | None = None
    transitions: int = 0

    def taken_by(self, me: str, duration_s: float, now: datetime) -> Record:
        """Return the record after `me` has acquired or renewed it."""
        time = _micro_time(now)
        if self.holder == me:
            return replace(self, duration_s=duration_s, acquired=self.acquired or time, renewed=time)
        return Record(me, duration_s, time, time, self.transitions + 1)

    def given_up(self, now: datetime) -> Record:
        """Return the record without a holder. A duration of 0 is not valid, so it is one second."""
        return replace(self, holder="", duration_s=1, renewed=_micro_time(now))


def record_of(lease: Raw) -> Record:
    """Return what a Lease says; a field that is missing counts as empty."""
    spec = lease.get("spec") or {}
    return Record(
        holder=spec.get("holderIdentity") or "",
        duration_s=float(spec.get("leaseDurationSeconds") or 0),
        acquired=spec.get("acquireTime"),
        renewed=spec.get("renewTime"),
        transitions=int(spec.get("leaseTransitions") or 0),
    )


def lease_of(record: Record, namespace: str, name: str, current: Raw | None) -> Raw:
    """Return the Lease to write.

    Args:
        record: What it shall say.
        namespace: Its namespace.
        name: Its name.
        current: The Lease as it was read: its resourceVersion makes the write fail if anybody else wrote meanwhile.
    """
    spec = {
        "holderIdentity": record.holder or None,
        "leaseDurationSeconds": int(record.duration_s),
        "acquireTime": record.acquired,
        "renewTime": record.renewed,
        "leaseTransitions": record.transitions,
    }
    metadata = {"name": name, "namespace": namespace} if current is None else at(current, "metadata")
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


def _micro_time(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
