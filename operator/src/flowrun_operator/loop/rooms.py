"""The room in namespaces: their quotas as they were read last, and what runs that have just begun will take of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from flowrun_api.constants import MANAGER
from flowrun_operator.build.quantities import value
from flowrun_operator.decide.room import QUEUED, RESOURCES
from flowrun_operator.loop.cache import Cache
from flowrun_operator.model import Room
from flowrun_operator.observe.fields import Raw, at, condition

# A quota that is there changes with every pod; one may be made at any time, and a run that starts meanwhile only waits
# as it would have waited without this.
_KNOWN_S, _NONE_S = 2.0, 60.0
# After that its pods are there, and counted, or it has other troubles.
_TAKES_S = 30.0

Amounts = dict[str, Fraction]


@dataclass
class _Taking:
    """What a run that has begun is still to take: what of it is in the quotas already was not, when they were read."""

    since: float
    all_of_it: Mapping[str, Fraction]
    still: Fraction = Fraction(1)


class Rooms:
    """What is known of the room in each namespace.

    Args:
        cache: With all runs and pods; its clock counts here too.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._clock = cache.refusals.clock
        self._left: dict[str, tuple[float, Amounts]] = {}
        self._taking: dict[str, dict[str, _Taking]] = defaultdict(dict)

    def pods(self, namespace: str) -> dict[str, int]:
        """Return how many live pods runs that have just begun have now, by uid: asked for before the quotas are."""
        return {
            at(run, "metadata", "uid"): len(self._pods(run))
            for run in self._cache.all("FlowRun")
            if at(run, "metadata", "uid") in self._taking[namespace]
        }

    def learn(self, namespace: str, quotas: Iterable[Raw], pods: Mapping[str, int]) -> None:
        """Take note of the quotas of a namespace.

        Args:
            namespace: Whose.
            quotas: All of them; those for some kinds of pods only (scopes) are passed over.
            pods: What `pods` has said before they were asked for: these the quotas have counted.
        """
        for uid, count in pods.items():
            if (taking := self._taking[namespace].get(uid)) is not None:
                wanted = taking.all_of_it.get("pods") or Fraction(1)
                taking.still = max(Fraction(0), 1 - count / wanted)
        left: Amounts = {}
        for quota in quotas:
            if at(quota, "spec", "scopes") or at(quota, "spec", "scopeSelector"):
                continue
            for name, hard in (at(quota, "status", "hard") or {}).items():
                used = (at(quota, "status", "used") or {}).get(name, "0")
                there = (value(hard) or Fraction(0)) - (value(used) or Fraction(0))
                if name in RESOURCES:
                    left[name] = min(there, left.get(name, there))
        self._left[namespace] = (self._clock(), left)

    def begin(self, namespace: str, uid: str, takes: Mapping[str, Fraction]) -> None:
        """Take note that a run begins: until its pods are there they are in no quota.

        Args:
            namespace: Of the run.
            uid: Of the run.
            takes: What of which resource.
        """
        self._taking[namespace][uid] = _Taking(self._clock(), takes)

    def seen_by(self, run: Raw) -> Room | None:
        """Return the room for one more run, None if nobody has looked lately.

        Args:
            run: The FlowRun that is about to start.
        """
        namespace, uid = at(run, "metadata", "namespace") or "", at(run, "metadata", "uid")
        read_at, left = self._left.get(namespace, (float("-inf"), {}))
        if self._clock() - read_at > (_KNOWN_S if left else _NONE_S):
            return None
        if not left:
            return Room()
        left, others, ahead = dict(left), 0, ""
        taking = self._taking[namespace]
        for old in [each for each, found in taking.items() if self._clock() - found.since > _TAKES_S]:
            del taking[old]
        for other in self._cache.all("FlowRun"):
            if at(other, "metadata", "namespace") != namespace or at(other, "metadata", "uid") == uid:
                continue
            begun = None if _finished(other) else taking.get(at(other, "metadata", "uid"))
            if begun is not None:
                for name in left:
                    left[name] -= begun.all_of_it.get(name, Fraction(0)) * begun.still
            if begun is not None or self._pods(other):
                others += 1
            elif _waits(other) and _age(other) < _age(run):
                ahead = ahead or str(at(other, "metadata", "name"))
        return Room(left, others, ahead)

    def _pods(self, run: Raw) -> list[Raw]:
        namespace, name = at(run, "metadata", "namespace"), at(run, "metadata", "name")
        pods = self._cache.of_run("Pod", namespace, name)
        return [pod for pod in pods if at(pod, "status", "phase") not in {"Succeeded", "Failed"}]


def _waits(run: Raw) -> bool:
    """Whether a run waits for room, or is too new for anybody to have looked at it."""
    if at(run, "spec", "suspend") or at(run, "metadata", "deletionTimestamp"):
        return False
    if at(run, "spec", "managedBy") not in (None, MANAGER):
        return False
    found = condition(run, "Succeeded")
    return not at(run, "status") or (found is not None and found.get("reason") == QUEUED)


def _finished(run: Raw) -> bool:
    found = condition(run, "Succeeded")
    return found is not None and found.get("status") in {"True", "False"}


def _age(run: Raw) -> tuple[str, str]:
    return str(at(run, "metadata", "creationTimestamp")), str(at(run, "metadata", "name"))
