"""How findings are told."""

from __future__ import annotations

from flowrun.cli.checks.finding import bad, note, ok, problem_as_note, told
from flowrun.problem import Problem


def test_only_a_bad_one_makes_it_bad() -> None:
    said: list[str] = []
    assert told([ok("all well"), note("not known", "ask")], said.append)
    assert not told([bad("it is missing", "install it"), ok("all well")], said.append)
    assert said == ["ok   all well", "note not known; ask", "bad  it is missing; install it", "ok   all well"]


def test_what_cannot_be_looked_at_is_a_note() -> None:
    def refused() -> list[object]:
        raise Problem("you may not")

    assert [str(found) for found in problem_as_note(refused, "quotas")] == ["note quotas: not known; you may not"]
