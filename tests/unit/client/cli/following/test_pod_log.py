"""The log of one pod."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowrun.cli.following.pod_log import PodLog, Window
from flowrun.problem import Unreachable


class Breaking:
    """A source that breaks off after so many lines of each reading, and begins anew a little earlier."""

    def __init__(self, lines: int, after: int) -> None:
        self.lines = [(f"2026-{number:06}", str(number)) for number in range(lines)]
        self.after = after
        self.given = 0
        self.asked: list[tuple[int | None, int | None, bool]] = []

    def log(
        self, pod: str, since_s: int | None = None, *, tail: int | None = None, follow: bool = True
    ) -> Iterator[tuple[str, str]]:
        self.asked.append((since_s, tail, follow))
        start = max(0, self.given - 3)  # what comes twice
        for number, line in enumerate(self.lines[start:]):
            if number == self.after:
                raise Unreachable("broke off")
            self.given = max(self.given, start + number + 1)
            yield line


def test_a_log_that_breaks_off_goes_on_where_it_was() -> None:
    source, said = Breaking(100, after=7), []
    log = PodLog(source, "pod", said.append)
    while len(said) < 100:
        try:
            log.read()
        except Unreachable:
            continue
    assert said == [str(number) for number in range(100)]


def test_a_window_is_for_the_first_reading_only() -> None:
    source = Breaking(5, after=2)
    log = PodLog(source, "pod", lambda _line: None, Window(since_s=60, tail=10))
    with pytest.raises(Unreachable):
        log.read(follow=False)
    with pytest.raises(Unreachable):
        log.read()
    (first, (since_s, tail, _)) = source.asked
    assert first == (60, 10, False)
    assert tail is None
    assert since_s is not None
    assert since_s < 60
