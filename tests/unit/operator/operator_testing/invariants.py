"""What must hold whatever goes wrong. One oracle for all simulated faults.

I1 nothing of a run outlives it. I2 at most one live driver per attempt at any time, and one per run besides those that
are being stopped. I3 a result is written
once. I4 the end is that of the fault-free run. I5 no parameter, key or environment value in a status, log or error.
I6 writes are bounded, and a world at rest is written to by nobody.

I2, I3 and I5 are checked at every change of every object, the others when the world has come to rest.
"""

from __future__ import annotations

import logging
from collections import defaultdict

from flowrun_operator.observe.fields import Raw, at, label, owner_uid
from operator_testing.stories import end_state
from operator_testing.world import World

# Values that users would not want to see anywhere: of a parameter, of an environment variable, the Prefect key.
PARAMETER, ENVIRONMENT, KEY = "hunter2-parameter", "hunter2-environment", "hunter2-key"
_PRIVATE = "hunter2"
_ENDED = {"Succeeded", "Failed"}
# A fault may repeat what was done, and ask again while it lasts; it may not multiply it.
_WRITES_FACTOR, _WRITES_MORE = 2, 25


class Invariants:
    """Watches a world from its beginning. `broken` tells what did not hold."""

    def __init__(self, world: World) -> None:
        self.broken: list[str] = []
        self.finished_at: float | None = None
        self.clean_at: float | None = None
        self._world = world
        self._drivers: dict[str, dict[str, Raw]] = defaultdict(dict)
        self._jobs: dict[tuple[str, str], str] = {}
        self._run_of: dict[str, str] = {}
        self._results: dict[str, object] = {}
        self._others: set[str] = set()
        world.api.observers.append(self._see)

    def _see(self, event: str, kind: str, raw: Raw) -> None:
        if kind == "Pod":
            self._pod(event, raw)
        elif kind == "Job" and event == "ADDED":
            self._job(raw)
        elif kind == "FlowRun":
            self._result(event, raw)
        if kind in {"FlowRun", "TaskCluster", "Event"} and _PRIVATE in repr(raw.get("status") or raw.get("message")):
            self.broken.append(f"I5: {kind} tells a private value")

    def _pod(self, event: str, raw: Raw) -> None:
        # By the run itself: its name may be another's, while the driver of the one that was deleted is being stopped.
        uid, run = at(raw, "metadata", "uid"), self._run_of.get(owner_uid(raw), label(raw, "flowrun.dev/run"))
        live = event != "DELETED" and at(raw, "status", "phase") not in _ENDED and not _main_ended(raw)
        if not run:
            return
        if label(raw, "flowrun.dev/role") != "driver":
            self._others.add(uid) if live else self._others.discard(uid)
            self._check_clean()
            return
        drivers = self._drivers[run]
        drivers.pop(uid, None)
        if live:
            drivers[uid] = raw
        attempts = [label(driver, "flowrun.dev/attempt") for driver in drivers.values()]
        if len(attempts) > len(set(attempts)):
            self.broken.append(f"I2: two drivers live for one attempt: {attempts}")
        if sum(1 for driver in drivers.values() if not at(driver, "metadata", "deletionTimestamp")) > 1:
            self.broken.append(f"I2: drivers of attempts {sorted(attempts)} live at once")

    def _job(self, raw: Raw) -> None:
        """A second Job for an attempt would be a second driver, even if the first one has gone.

        One that is made for a run just deleted is taken by the garbage collector before it matters.
        """
        self._run_of[raw["metadata"]["uid"]] = owner_uid(raw)
        if not any(o["metadata"]["uid"] == owner_uid(raw) for o in self._world.api.of("FlowRun")):
            return
        key = (owner_uid(raw), label(raw, "flowrun.dev/attempt"))
        if self._jobs.setdefault(key, raw["metadata"]["uid"]) != raw["metadata"]["uid"]:
            self.broken.append(f"I2: a second Job for attempt {key[1]}")

    def _result(self, event: str, raw: Raw) -> None:
        uid, status = raw["metadata"]["uid"], raw.get("status") or {}
        if event == "DELETED":
            self._results.pop(uid, None)
            self._finished()
            return
        succeeded = next((c for c in status.get("conditions", []) if c["type"] == "Succeeded"), {})
        result = None
        if succeeded.get("status") not in (None, "Unknown"):
            attempts = [(a["number"], a.get("reason")) for a in status.get("attempts", [])]
            told = [succeeded[key] for key in ("status", "reason", "message", "lastTransitionTime")]
            result = (*told, status.get("state"), status.get("completionTime"), attempts)
            self._finished()
        if self._results.setdefault(uid, result) is None:
            self._results[uid] = result
        elif self._results[uid] != result:
            self.broken.append(f"I3: the result {self._results[uid]} became {result}")

    def _finished(self) -> None:
        self.finished_at = self._world.seconds if self.finished_at is None else self.finished_at
        self._check_clean()

    def _check_clean(self) -> None:
        if self._others or self.finished_at is None:
            self.clean_at = None
        elif self.clean_at is None:
            self.clean_at = self._world.seconds

    @property
    def time_to_clean_s(self) -> float | None:
        """Simulated seconds from the result to the end of the last worker."""
        if self.finished_at is None or self.clean_at is None:
            return None
        return self.clean_at - self.finished_at

    async def check_rest(self, reference: Reference | None, *, race: bool = False) -> None:
        """Check what must hold when nothing happens any more.

        Args:
            reference: The fault-free run; None where the end may be another one.
            race: Whether Job and driver may be kept or not.
        """
        before = writes(self._world)
        await self._world.pass_time(20, 2)
        if writes(self._world) != before:
            self.broken.append(f"I6: a world at rest is written to: {self._world.api.writes[-3:]}")
        state = end_state(self._world)
        if reference is not None:
            different = _difference(state, reference.state, {"jobs", "pods"} if race else set())
            if different:
                self.broken.append(f"I4: {different}")
        elif state.get("complete") is False:
            self.broken.append(f"I4: the run does not end: {state}")
        if state.get("complete") and (state["children"] or set(state["pods"]) - {"driver"}):
            self.broken.append(f"I1: left of a finished run: {state['children']} {state['pods']}")
        running = [p["metadata"]["name"] for p in self._world.api.of("Pod") if _runs_on(p)]
        if state.get("complete") and running:
            self.broken.append(f"I1: containers of a finished run run on: {running}")
        self._private(str(error) for error in self._world.errors)

    def check_writes(self, reference: Reference) -> None:
        limit = _WRITES_FACTOR * reference.writes + _WRITES_MORE
        if writes(self._world) > limit:
            self.broken.append(f"I6: {writes(self._world)} write requests where {reference.writes} are enough")

    def check_nothing_left(self, foreign: set[str]) -> None:
        """Check that no object is left once the record has gone too."""
        left = [f"{kind} {name}" for kind, _, name in self._world.api.objects if name not in foreign]
        if left:
            self.broken.append(f"I1: left for ever: {left}")

    def _private(self, texts: object) -> None:
        if any(_PRIVATE in text for text in texts):  # type: ignore[attr-defined]
            self.broken.append("I5: an error tells a private value")


class Reference:
    """What a fault-free run was like: how it ended, and how many points there are at which a fault can strike."""

    def __init__(self, world: World) -> None:
        self.state = end_state(world)
        self.writes = writes(world)
        self.reads = len(world.api.requests) - self.writes
        self.events = world.changes


class PrivateLogs(logging.Handler):
    """Takes all log records and keeps those that tell a private value."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.getMessage()} {vars(record)}"
        if _PRIVATE in text:
            self.found.append(text)


def _states(pod: Raw) -> dict[str, Raw]:
    return {s["name"]: s["state"] for s in at(pod, "status", "containerStatuses") or []}


def _main_ended(pod: Raw) -> bool:
    return "terminated" in _states(pod).get("flowrun", {})


def _runs_on(pod: Raw) -> bool:
    return any("running" in state for state in _states(pod).values())


def writes(world: World) -> int:
    return sum(1 for request in world.api.requests if request.is_write)


def _difference(found: dict, wanted: dict, ignored: set[str]) -> str:
    return ", ".join(
        f"{key} is {found.get(key)} instead of {wanted.get(key)}"
        for key in sorted((found.keys() | wanted.keys()) - ignored)
        if found.get(key) != wanted.get(key)
    )
