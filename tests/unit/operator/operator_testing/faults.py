"""Faults of the simulated API, each striking at one numbered point.

A fault-free run counts its writes, reads and watch events; a faulty run is the same up to its point, so every point of
a scenario can be hit by its number, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiohttp

from flowrun_operator.kube.errors import ApiError

Raw = dict[str, Any]
READS = ("get", "list")


class Crash(BaseException):
    """The operator was killed: no request of its goes through any more."""


class Request(NamedTuple):
    """A request of the operator."""

    verb: str
    kind: str
    name: str

    @property
    def is_write(self) -> bool:
        return self.verb not in READS


class Change(NamedTuple):
    """A watch event on its way to the operator; numbers count all of them from 1."""

    number: int
    event: str
    kind: str
    raw: Raw


class Fault:
    """Nothing strikes; base of all faults."""

    # How long the operator stays away after a crash, in seconds, and how many events its first list then lacks.
    downtime_s = 0.0
    stale = 0
    # How far the operator's clock is ahead of the API server's, in seconds.
    skew_s = 0.0
    operators = 1
    # Whether it is an error of the test if it never strikes.
    must_strike = True

    def __init__(self) -> None:
        self.struck = 0
        self.clock: Callable[[], float] = lambda: 0.0  # the world's, in seconds
        self._writes = 0

    def request(self, request: Request) -> None:
        """Called before a request is carried out: raise to keep it from being so."""

    def response(self, request: Request) -> None:
        """Called when a request has been carried out: raise to lose the answer."""

    def delay_s(self, change: Change) -> float | None:
        """Return by how many seconds an event is late; None: it never arrives."""
        return 0.0

    def relist_after_s(self, change: Change) -> float | None:
        """Return after how many seconds a watch that breaks at this event has listed anew; None: it holds."""
        return None

    def prefect(self) -> None:
        """Called before Prefect answers: raise what it answers with."""

    def away(self, objects: Iterable[Raw]) -> None:
        """Called when an operator has been killed and the next one has not started: change what is stored."""

    def _hits(self, request: Request, point: int) -> bool:
        """Count a write; return whether this is the one."""
        self._writes += request.is_write
        hit = request.is_write and self._writes == point
        self.struck += hit
        return hit


@dataclass
class Killed(Fault):
    """F01, F04, F06: the operator is killed when its n-th write is carried out (0: before the first)."""

    point: int
    downtime_s: float = 0.0
    stale: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def request(self, request: Request) -> None:
        if self.point == 0 and self._hits(request, 1):
            raise Crash

    def response(self, request: Request) -> None:
        if self.point and self._hits(request, self.point):
            raise Crash


@dataclass
class Replaced(Killed):
    """F29: another version of the operator acts until its n-th write; this one takes over what that one stored."""

    stored: Callable[[Raw], None] = lambda raw: None

    def away(self, objects: Iterable[Raw]) -> None:
        for raw in objects:
            if raw["kind"] in {"FlowRun", "TaskCluster"}:
                self.stored(raw)


LATER = "LaterCondition"


def by_a_later_version(raw: Raw) -> None:
    """Add what this version does not know: fields, a condition, a class of failures."""
    raw["spec"]["laterField"] = {"of": "a later version"}
    status = raw.setdefault("status", {})
    status["laterField"] = 7
    if status.get("conditions"):
        later = {
            "type": LATER,
            "reason": "Later",
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        status["conditions"] = [*status["conditions"], {**later, "status": "True", "laterField": 1}]
    for attempt in status.get("attempts", []):
        attempt["laterField"] = "x"
        if "class" in attempt:
            attempt["class"] = "Later"


def by_an_earlier_version(raw: Raw) -> None:
    """Take away what this version can do without; of a finished run, which nobody writes anew, what nobody misses."""
    status = raw.get("status", {})
    finished = "completionTime" in status
    for field in ("workers", "clusters", "flowRun", "startTime", "observedGeneration", "lostWorkers"):
        status.pop(field, None)
    if not finished:
        status.pop("state", None)
    if "conditions" in status and not finished:
        status["conditions"] = [c for c in status["conditions"] if c["type"] in {"Succeeded", "Ready"}]
    for attempt in status.get("attempts", []):
        attempt.pop("class", None)
        attempt.pop("message", None)


@dataclass
class LostResponse(Fault):
    """F02: the n-th write arrives, its answer does not."""

    point: int

    def __post_init__(self) -> None:
        super().__init__()

    def response(self, request: Request) -> None:
        if self._hits(request, self.point):
            raise ApiError(0, "Unreachable", "connection reset")


@dataclass
class Refused(Fault):
    """F10 to F13: the n-th write is answered with an error and not carried out."""

    point: int
    error: ApiError

    def __post_init__(self) -> None:
        super().__init__()

    def request(self, request: Request) -> None:
        if self._hits(request, self.point):
            raise self.error


@dataclass
class Throttled(Fault):
    """F11: the n-th write is answered 429 with Retry-After; who repeats it too early is noted.

    The same write: an object that is throttled on the behalf of its cluster may be deleted on that of its run.
    """

    point: int
    retry_after_s: float = 3.0

    def __post_init__(self) -> None:
        super().__init__()
        self._asker: Request | None = None
        self._not_before = 0.0
        self.too_early: list[Request] = []

    def request(self, request: Request) -> None:
        if request == self._asker and self.clock() < self._not_before:
            self.too_early.append(request)
        if self._hits(request, self.point):
            self._asker, self._not_before = request, self.clock() + self.retry_after_s
            raise too_many(self.retry_after_s)


@dataclass
class RefusedRead(Fault):
    """F12: the n-th read is answered with an error."""

    point: int
    error: ApiError

    def __post_init__(self) -> None:
        super().__init__()
        self._reads = 0

    def request(self, request: Request) -> None:
        if request.is_write:
            return
        self._reads += 1
        if self._reads == self.point:
            self.struck += 1
            raise self.error


@dataclass
class Dropped(Fault):
    """F07: the n-th event is lost, which folds it into the object's next one, if there is any."""

    point: int

    def __post_init__(self) -> None:
        super().__init__()

    def delay_s(self, change: Change) -> float | None:
        if change.number != self.point:
            return 0.0
        self.struck += 1
        return None


@dataclass
class Lagging(Fault):
    """F06: the watch of a kind lags behind, from its event with number n on."""

    point: int
    seconds: float = 4.0

    def __post_init__(self) -> None:
        super().__init__()
        self._kind: str | None = None

    def delay_s(self, change: Change) -> float | None:
        if change.number == self.point:
            self._kind = change.kind
            self.struck += 1
        return self.seconds if change.kind == self._kind else 0.0


@dataclass
class Broken(Fault):
    """F08: the watches break at the n-th event and list anew later; nobody tells what was deleted meanwhile."""

    point: int
    seconds: float = 2.0

    def __post_init__(self) -> None:
        super().__init__()

    def relist_after_s(self, change: Change) -> float | None:
        if change.number != self.point:
            return None
        self.struck += 1
        return self.seconds


@dataclass
class PrefectDown(Fault):
    """F28: Prefect answers with errors, so many times that a report must be tried again and again."""

    error: Callable[[], Exception] = lambda: aiohttp.ClientConnectionError("down")
    times: int = 4
    must_strike = False  # not every scenario asks Prefect

    def __post_init__(self) -> None:
        super().__init__()

    def prefect(self) -> None:
        if self.struck < self.times:
            self.struck += 1
            raise self.error()


@dataclass
class Skewed(Fault):
    """F27: the operator's clock is wrong."""

    skew_s: float = 0.0

    def __post_init__(self) -> None:
        super().__init__()
        self.struck = 1


class TwoOperators(Fault):
    """F05: two operators act at once; the second one's watches are half a second late."""

    operators = 2

    def __init__(self) -> None:
        super().__init__()
        self.struck = 1


def conflict() -> ApiError:
    return ApiError(409, "Conflict", "the object has been modified")


def too_many(retry_after_s: float = 0.0) -> ApiError:
    return ApiError(429, "TooManyRequests", "the server has asked to slow down", retry_after_s)


def forbidden() -> ApiError:
    return ApiError(403, "Forbidden", 'User "operator" cannot do that')


SERVER_ERRORS: tuple[Callable[[], ApiError], ...] = (
    lambda: ApiError(500, "InternalError", "etcdserver: request timed out"),
    lambda: ApiError(503, "ServiceUnavailable", "apiserver is shutting down"),
    lambda: ApiError(0, "Unreachable", "timed out"),
)


class Chaos(Fault):
    """What a state machine turns on as it goes: the next so many requests, answers or events are hit."""

    must_strike = False

    def __init__(self) -> None:
        super().__init__()
        self.kills = 0
        self.losses = 0
        self.drops = 0
        self.errors: dict[str, list[ApiError]] = {}  # by verb
        self.lag_s: dict[str, float] = {}
        self.prefect_down = False

    def calm(self) -> None:
        """Turn everything off."""
        self.kills = self.losses = self.drops = 0
        self.errors, self.lag_s, self.prefect_down = {}, {}, False

    def request(self, request: Request) -> None:
        if self.errors.get(request.verb):
            raise self.errors[request.verb].pop()

    def response(self, request: Request) -> None:
        if request.is_write and self.kills:
            self.kills -= 1
            raise Crash
        if request.is_write and self.losses:
            self.losses -= 1
            raise ApiError(0, "Unreachable", "connection reset")

    def delay_s(self, change: Change) -> float | None:
        if self.drops:
            self.drops -= 1
            return None
        return self.lag_s.get(change.kind, 0.0)

    def prefect(self) -> None:
        if self.prefect_down:
            raise aiohttp.ClientConnectionError("down")
