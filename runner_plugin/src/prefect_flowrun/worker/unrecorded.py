"""The task runs whose end was sent and is not known to be recorded: how many may there be, and when is one lost?"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")

# Of one worker. The server's queue holds 10 000 for all; lost ones halve it.
WINDOW = 400
LEAST_WINDOW = 25
PER_QUESTION = 200
# Without any progress; a loaded server takes its time.
LOST_AFTER_S = 30.0
# At the end of a flow, when nothing more comes.
LOST_AT_END_AFTER_S = 5.0
SENT_AT_MOST = 3


class Unrecorded(Generic[T]):
    """Knows no clock and no server, so that it can be tested without."""

    def __init__(self) -> None:
        self.ask = True
        """Whether the server is to be asked at all; otherwise what was sent is taken for recorded."""
        self.window = WINDOW
        self._sent: OrderedDict[UUID, tuple[T, int]] = OrderedDict()
        self._again: dict[UUID, int] = {}
        self._progress_at: float | None = None
        self._known = 0
        self._patience_s = LOST_AFTER_S

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def room(self) -> int:
        """How many may be sent at once."""
        return max(PER_QUESTION // 4, self.window - len(self._sent)) if self.ask else PER_QUESTION

    @property
    def full(self) -> bool:
        """Whether the server is to be waited for."""
        return self.ask and len(self._sent) >= self.window

    def add(self, task_run_id: UUID, item: T) -> None:
        """Note that the end of a task run was sent.

        Args:
            task_run_id: the task run.
            item: to be sent again, should the server lose it.
        """
        self._patience_s = LOST_AFTER_S
        if self.ask:
            self._sent[task_run_id] = (item, self._again.pop(task_run_id, 0) + 1)

    def hurry(self) -> None:
        """Lose patience sooner, until more is sent."""
        self._patience_s = LOST_AT_END_AFTER_S

    def oldest(self) -> list[UUID]:
        """Return those to ask for: the ones sent first."""
        return list(self._sent)[:PER_QUESTION]

    def note(self, asked: list[UUID], recorded: int, now: float) -> list[UUID]:
        """Note an answer.

        Args:
            asked: what `oldest` has returned.
            recorded: how many of them the server knows to have ended.
            now: seconds of some clock.

        Returns:
            Those among which some are lost; empty while the server may still be at it.
        """
        if recorded >= len(asked):
            for each in asked:
                self._sent.pop(each, None)
            self._progress_at, self._known = None, 0
            return []
        if self._progress_at is None or recorded > self._known:
            self._progress_at, self._known = now, recorded
        return asked if now - self._progress_at > self._patience_s else []

    def lost(self, asked: list[UUID], recorded: set[UUID]) -> tuple[list[T], int]:
        """Take out what is lost, or proves to be recorded.

        Args:
            asked: what `note` has returned.
            recorded: those that the server knows to have ended.

        Returns:
            What is to be sent again, and how many were sent often enough. After such a one the server is asked no more:
            who knows what it does with events.
        """
        again, given_up = [], 0
        for each in asked:
            item, times = self._sent.pop(each)
            if each in recorded:
                continue
            if times >= SENT_AT_MOST:
                given_up += 1
            else:
                again.append(item)
                self._again[each] = times
        self._progress_at, self._known = None, 0
        self.window = max(LEAST_WINDOW, self.window // 2)
        if given_up:
            self.ask = False
            self._sent.clear()
        return again, given_up

    def take_all(self) -> list[T]:
        """Take everything out, in order: the connection broke."""
        items = [item for item, _ in self._sent.values()]
        self._sent.clear()
        return items
