"""Writes the outcome of the suite as a table: `pytest tests/runner/conformance --write-table`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from conformance_suite.differences import DIFFERENCES, Kind
from conformance_suite.runners import RUNNERS

TABLE = Path(__file__).parents[3] / "docs" / "task-runners-conformance.md"
HEAD = """# What works with which task runner

Made by `pytest tests/runner/conformance --write-table`; don't edit. Every row is a test that runs with every runner, on
a real Prefect server: `threads` is Prefect's default, `prefect-dask` and `prefect-ray` are Prefect's integrations on a
local cluster, the others are `ClusterTaskRunner(engine=...)`. ✓ works, ✗ is wrong, ○ differs on purpose; the number
leads to the reason below the tables.
"""
MARKS = {Kind.DEFECT: "✗", Kind.DESIGN: "○"}


@dataclass
class Table:
    """Outcomes of one run of the suite."""

    themes: dict[str, str] = field(default_factory=dict)
    """Title by module, in the order of the run."""
    outcomes: dict[str, dict[str, dict[str, bool]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )
    """Module, test, runner: did it pass?"""
    notes: list[str] = field(default_factory=list)

    def add(self, module: str, title: str, test: str, runner: str, *, passed: bool) -> None:
        self.themes[module] = title
        self.outcomes[module][test][runner] = passed

    def missing(self) -> list[str]:
        """Tests that did not run with every runner."""
        tests = [(test, runs) for rows in self.outcomes.values() for test, runs in rows.items()]
        return [test for test, runs in tests if set(runs) != set(RUNNERS)]

    def render(self) -> str:
        sections = [self._section(module) for module in self.themes]
        reasons = [f"{number}. {note}" for number, note in enumerate(self.notes, 1)]
        return "\n".join([HEAD, *sections, "## Reasons\n", *reasons, ""])

    def _section(self, module: str) -> str:
        rows = [
            f"| {_sentence(test)} | " + " | ".join(self._cell(test, runner, runs[runner]) for runner in RUNNERS) + " |"
            for test, runs in self.outcomes[module].items()
        ]
        header = ["| | " + " | ".join(RUNNERS) + " |", "|---|" + "---|" * len(RUNNERS)]
        return "\n".join([f"## {self.themes[module]}\n", *header, *rows, ""])

    def _cell(self, test: str, runner: str, passed: bool) -> str:
        if passed:
            return "✓"
        difference = DIFFERENCES.get((test, runner))
        if difference is None:
            return "✗"
        if difference.reason not in self.notes:
            self.notes.append(difference.reason)
        return f"{MARKS[difference.kind]} {self.notes.index(difference.reason) + 1}"


def _sentence(test: str) -> str:
    text = test.removeprefix("test_").replace("_", " ")
    return text[0].upper() + text[1:]
