"""The last words of deleted runs: kept in memory until Prefect has heard them, since their objects are gone.

`decide.deleted` says which.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime

from pydantic import ValidationError

from flowrun_operator.decide.deleted import last_words
from flowrun_operator.loop.act import Actor
from flowrun_operator.loop.cache import Cache
from flowrun_operator.loop.keys import Key
from flowrun_operator.loop.queue import WorkQueue
from flowrun_operator.model import RunView
from flowrun_operator.observe.fields import Raw, at


class Farewell:
    """Says last words.

    Args:
        cache: Hands over each deleted run once.
        queue: Told when to go on.
        actor: Carries out what is decided.
        look: Returns the view of a run from its last known object.
    """

    def __init__(self, cache: Cache, queue: WorkQueue, actor: Actor, look: Callable[[Key, Raw], RunView]) -> None:
        self._cache = cache
        self._queue = queue
        self._actor = actor
        self._look = look
        # By key, since the name may be another run's by now, and by uid: the object and when it was noticed to be gone.
        self._gone: dict[Key, dict[str, tuple[Raw, datetime]]] = defaultdict(dict)

    async def say(self, key: Key, now: datetime) -> None:
        """Say what is due of the deleted runs of this name."""
        new = self._cache.take_deleted(key.namespace, key.name)
        for raw in new:
            if self._anything(key, raw, now):
                self._gone[key][at(raw, "metadata", "uid")] = (raw, now)
        for uid, (raw, since) in list(self._gone.get(key, {}).items()):
            plan = last_words(self._look(key, raw), since, now)
            await self._actor.carry_out(plan.actions, key.namespace, uid)
            if plan.requeue_after_s is None:
                del self._gone[key][uid]
                self._cache.told.pop(uid, None)
            else:
                self._queue.put(key, plan.requeue_after_s)
        if not self._gone.get(key):
            self._gone.pop(key, None)

    def _anything(self, key: Key, raw: Raw, now: datetime) -> bool:
        try:
            return bool(last_words(self._look(key, raw), now, now).actions)
        except ValidationError:  # it never could be read
            return False
