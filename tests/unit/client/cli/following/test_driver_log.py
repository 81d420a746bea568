"""The drivers' logs of a run, from a cluster that breaks off where it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowrun.cli.following.driver_log import DriverLog
from flowrun.problem import Problem, Unreachable

Line = tuple[str, str]


def pod(name: str, state: str = "terminated") -> dict[str, Any]:
    others = [{"name": "a-sidecar", "state": {"terminated": {}}}, {"name": "flowrun", "state": {state: {"x": 1}}}]
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "status": {"containerStatuses": others}}


class Played:
    """A cluster whose logs are lists; an error in one is raised there."""

    def __init__(self, *pods: dict[str, Any], **logs: list[Line | Problem]) -> None:
        self.pods, self.logs = list(pods), logs
        self.asked: list[tuple[str, int | None]] = []

    def drivers(self, run_uid: str) -> list[dict[str, Any]]:
        assert run_uid == "uid-of-the-run"
        return self.pods

    def log(
        self, name: str, since_s: int | None = None, *, tail: int | None = None, follow: bool = True
    ) -> Iterator[Line]:
        self.asked.append((name, since_s))
        for line in list(self.logs[name]):
            if isinstance(line, Problem):
                self.logs[name].remove(line)
                raise line
            yield line


def read(played: Played) -> list[str]:
    said: list[str] = []
    log = DriverLog(played, "uid-of-the-run", said.append)
    log.start()
    log.finish()
    return said


def test_lines_of_one_moment_and_of_a_clock_set_back_are_all_told() -> None:
    lines = [("2026-3", "Traceback"), ("2026-3", "  File"), ("2026-2", "ValueError"), ("", "from the kubelet itself")]
    assert read(Played(pod("a"), a=list(lines))) == [text for _, text in lines]


def test_an_attempt_whose_log_cannot_be_had_hides_no_later_one() -> None:
    lost: list[Line | Problem] = [Unreachable("no answer from its node") for _ in range(3)]
    assert "later" in read(Played(pod("a", "running"), pod("b"), a=lost, b=[("2026-1", "later")]))
    refused: list[Line | Problem] = [Problem("the container is gone")]
    said = read(Played(pod("a"), pod("b"), a=refused, b=[("2026-1", "later")]))
    assert said == ["flowrun: the container is gone", "later"]


def test_a_driver_that_has_not_started_is_not_asked_for_its_log() -> None:
    played = Played(pod("a", "waiting"), a=[])
    assert read(played) == []
    assert played.asked == []
