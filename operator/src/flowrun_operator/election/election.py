"""The election's loop: stand by, hold, give up; and the fence that every other write must pass.

Why two leaders never write at once: a leader counts its time from *before* it sent the last renewal that succeeded, a
standby from *after* it saw it, so the leader's time is over first. From the renew deadline on the fence is closed, and
a write that started before it must be through before the Lease runs out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn, Protocol

from flowrun_operator.election.decide import Observed, Renew, Wait, decide
from flowrun_operator.election.record import Raw, Record, lease_of, record_of
from flowrun_operator.kube.errors import ApiError

log = logging.getLogger(__name__)


class LeaseLostError(Exception):
    """This operator leads no more and must end."""


class LeaseApi(Protocol):
    """The requests that an election needs; `KubeClient` has them."""

    async def get(self, kind: str, namespace: str, name: str) -> Raw:
        """Return one object."""
        ...

    async def create(self, manifest: Raw) -> Raw:
        """Create an object."""
        ...

    async def replace(self, manifest: Raw) -> Raw:
        """Replace an object, if it is still the one that was read."""
        ...


@dataclass(frozen=True)
class Terms:
    """What is elected, and how patiently.

    Args:
        namespace: Of the Lease.
        name: Of the Lease.
        identity: Ours; no other running process may have it.
        duration_s: Seconds without a renewal after which a standby takes over.
        renew_deadline_s: Seconds without a renewal after which the leader stops; shorter than `duration_s`.
        retry_period_s: Seconds between renewals.
    """

    namespace: str
    name: str
    identity: str
    duration_s: int = 15
    renew_deadline_s: float = 10.0
    retry_period_s: float = 2.0

    @property
    def look_s(self) -> float:
        """How often a standby looks: an orderly stop of the leader then costs about a second."""
        return self.retry_period_s / 2


def boot_clock() -> float:
    """Return seconds on a clock that nobody sets and that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Election:
    """One candidate. `acquire`, then `hold` until it fails, then `release`.

    Args:
        api: For the Lease only, and not fenced; its requests should time out well before the renew deadline.
        terms: What is elected.
        clock: Our own clock, in seconds; its zero does not matter.
        sleep: Waits for seconds of that clock.
    """

    def __init__(
        self,
        api: LeaseApi,
        terms: Terms,
        clock: Callable[[], float] = boot_clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self._terms = terms
        self._clock = clock
        self._sleep = sleep
        self._observed: Observed | None = None
        self._current: Raw | None = None
        # Whether `_current` is what the API server has; not while an answer is missing, which may get lost (F02).
        self._known = False
        self._renewed_at: float | None = None
        self._said = ""
        self.forbidden = False

    @property
    def leading(self) -> bool:
        """Whether a write would pass the fence now."""
        return self._renewed_at is not None and self._age_s(self._renewed_at) <= self._terms.renew_deadline_s

    def fence(self) -> float:
        """Return for how many seconds a write that starts now may be under way.

        Raises:
            ApiError: With status 0 and reason NotLeading: it must not start.
        """
        if self._renewed_at is None or not self.leading:
            raise ApiError(0, "NotLeading", "the Lease was not renewed in time: another operator may be leading")
        return self._terms.duration_s - self._age_s(self._renewed_at)

    async def acquire(self) -> None:
        """Stand by until the Lease is ours."""
        while (pause_s := await self._try_to_acquire()) > 0:
            await self._sleep(pause_s)
        log.info("Leading", extra={"lease": self._where, "identity": self._terms.identity})

    async def hold(self) -> NoReturn:
        """Renew the Lease for ever.

        Raises:
            LeaseLostError: It could not be renewed in time, or another one holds it.
        """
        while True:
            await self._sleep(self._terms.retry_period_s)
            if not self.leading:  # first of all: this process may have been paused
                raise LeaseLostError(f"Lease {self._where} was not renewed within {self._terms.renew_deadline_s:g} s")
            try:
                await self._renew()
            except ApiError as error:
                log.warning("The Lease was not renewed: %s", error, extra={"lease": self._where})

    async def release(self) -> None:
        """Give the Lease back if it is ours, so that a standby need not wait for its end. Call it when nothing acts."""
        self._renewed_at = None
        try:
            if not self._known:
                await self._look()
            if self._observed is not None and self._observed.record.holder == self._terms.identity:
                await self._write(self._observed.record.given_up(datetime.now(UTC)))
                log.info("The Lease was given back", extra={"lease": self._where})
        except ApiError as error:
            log.warning("The Lease was not given back: %s", error, extra={"lease": self._where})

    @property
    def _where(self) -> str:
        return f"{self._terms.namespace}/{self._terms.name}"

    def _age_s(self, since: float) -> float:
        return self._clock() - since

    async def _try_to_acquire(self) -> float:
        """Return 0 if the Lease is ours now, otherwise the seconds until the next look."""
        try:
            await self._look()
            verdict = decide(self._observed, self._clock(), self._terms.identity)
            if isinstance(verdict, Wait):
                self._say(f"Standing by: {self._observed.record.holder if self._observed else ''} is leading")
                return min(verdict.seconds, self._terms.look_s)
            await self._take()
        except ApiError as error:
            if error.status == 403:
                self.forbidden = True
                self._say(f"Standing by: may not use Lease {self._where}: {error.message}", logging.ERROR)
            elif error.status not in {404, 409}:  # these say that another candidate was faster
                self._say(f"Standing by: {error}", logging.WARNING)
            return self._terms.look_s
        return 0.0

    async def _renew(self) -> None:
        if self._known:
            try:
                await self._take()
                return
            except ApiError as error:
                if error.status not in {404, 409}:
                    raise
        # Somebody else wrote it or deleted it, or the answer to our last write was lost.
        await self._look()
        if not isinstance(decide(self._observed, self._clock(), self._terms.identity), Renew):
            raise LeaseLostError(f"Lease {self._where} was taken from this operator")
        await self._take()

    async def _take(self) -> None:
        record = self._observed.record if self._observed else Record(transitions=-1)  # the first holder is no change
        sent = self._clock()
        await self._write(record.taken_by(self._terms.identity, self._terms.duration_s, datetime.now(UTC)))
        self._renewed_at = sent

    async def _write(self, record: Record) -> None:
        manifest = lease_of(record, self._terms.namespace, self._terms.name, self._current)
        self._known = False
        if self._current is None:
            self._saw(await self._api.create(manifest))
        else:
            self._saw(await self._api.replace(manifest))

    async def _look(self) -> None:
        try:
            lease = await self._api.get("Lease", self._terms.namespace, self._terms.name)
        except ApiError as error:
            if not error.not_found:
                raise
            self._current, self._known = None, True
            return
        self._saw(lease)

    def _saw(self, lease: Raw) -> None:
        self._current, self._known, self.forbidden = lease, True, False
        record = record_of(lease)
        if self._observed is None or self._observed.record != record:
            self._observed = Observed(record, self._clock())

    def _say(self, message: str, level: int = logging.INFO) -> None:
        """Log what has changed, not every look."""
        if message != self._said:
            self._said = message
            log.log(level, message, extra={"lease": self._where, "identity": self._terms.identity})


class Unelected:
    """The stand-in without an election: always leading. Whoever starts it sees to it that there is only one."""

    forbidden = False
    leading = True

    def fence(self) -> float:
        """Let every write pass."""
        return float("inf")

    async def acquire(self) -> None:
        """Lead at once."""

    async def hold(self) -> None:
        """Lead until cancelled."""
        await asyncio.Event().wait()

    async def release(self) -> None:
        """Nothing to give back."""
