"""What to do about a Lease: acquire it, renew it, or wait. Pure.

Times of other machines are never compared with ours (F27). A Lease has run out when it has not changed for its whole
duration while *we* watched, by our own clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from flowrun_operator.election.record import Record


@dataclass(frozen=True)
class Observed:
    """A record and since when it has been seen unchanged.

    Args:
        record: What the Lease said.
        since: When it was first seen to say so: seconds on our own clock.
    """

    record: Record
    since: float


@dataclass(frozen=True)
class Acquire:
    """Nobody holds it, or its holder is silent: take it."""


@dataclass(frozen=True)
class Renew:
    """We hold it."""


@dataclass(frozen=True)
class Wait:
    """Another one holds it.

    Args:
        seconds: Until it runs out, unless it is renewed.
    """

    seconds: float


def decide(observed: Observed | None, now: float, me: str) -> Acquire | Renew | Wait:
    """Decide what a candidate does next.

    Args:
        observed: The last record seen, also if the Lease has been deleted since: that frees nobody. None: there never
            was one.
        now: Seconds on the clock of `observed.since`.
        me: Our identity.
    """
    if observed is None or not observed.record.holder:
        return Acquire()
    if observed.record.holder == me:
        return Renew()
    left_s = observed.since + observed.record.duration_s - now
    return Wait(left_s) if left_s > 0 else Acquire()
