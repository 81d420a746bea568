"""Tables of the server."""

from __future__ import annotations

from typing import Any

import pytest

from flowrun.cli.show import table
from flowrun.cli.show.table import Wanted
from flowrun.problem import Problem

NOW = "2026-11-24T15:00:00Z"
COLUMNS = [("Name", 0), ("State", 0), ("Prefect", 1), ("Age", 0)]


def row(name: str, state: str | None, created: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "data", "creationTimestamp": created}
    return {"cells": [name, state, "http://x", "3h"], "object": {"metadata": metadata}}


TABLE = {
    "columnDefinitions": [{"name": name, "priority": priority} for name, priority in COLUMNS],
    "rows": [
        row("new", None, "2026-11-24T14:59:30Z"),
        row("failed\x1b[31m", "Failed", "2026-11-24T12:00:00Z"),
        row("running", "Running", "2026-11-24T14:00:00Z"),
    ],
}


def names(wanted: Wanted) -> list[str]:
    head, *rows = table.lines(TABLE, wanted, NOW)
    assert head.startswith("NAME")
    return [line.split()[0] for line in rows]


def test_the_columns_are_the_servers_and_the_newest_is_last() -> None:
    assert table.lines(TABLE, Wanted(), NOW) == [
        "NAME     STATE    AGE",
        "failed   Failed   3h",
        "running  Running  3h",
        "new               3h",
    ]


def test_more_columns_are_for_who_asks() -> None:
    (head, *_) = table.lines(TABLE, Wanted(wide=True, everywhere=True), NOW)
    assert head.split() == ["NAMESPACE", "NAME", "STATE", "PREFECT", "AGE"]


def test_rows_are_chosen_by_state_and_age() -> None:
    assert names(Wanted(states=frozenset({"running", "pending"}))) == ["running", "new"]
    assert names(Wanted(since_s=3600)) == ["running", "new"]
    assert names(Wanted(since_s=60)) == ["new"]


def test_durations_are_read() -> None:
    assert [table.seconds(text) for text in ("90s", "10m", "2h", "1d")] == [90, 600, 7200, 86400]
    for text in ("", "10", "-5m", "1w", "1h30m"):
        with pytest.raises(Problem, match="write a duration as"):
            table.seconds(text)


def test_objects_are_chosen_by_the_same_rule() -> None:
    keep = table.keeps(Wanted(states=frozenset({"failed"}), since_s=4 * 3600), NOW)
    made = {"creationTimestamp": "2026-11-24T12:00:00Z"}
    assert keep({"metadata": made, "status": {"state": "Failed"}})
    assert not keep({"metadata": made, "status": {"state": "Running"}})
    assert not keep({"metadata": {"creationTimestamp": "2026-11-24T10:00:00Z"}, "status": {"state": "Failed"}})
