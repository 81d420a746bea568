"""Tables: the server's own, cut to what was asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flowrun.cli.show import view
from flowrun.cli.show.console import clean
from flowrun.problem import Problem

Raw = dict[str, Any]

_DURATION = re.compile(r"(\d+)([smhd])$")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Wanted:
    """Which rows and columns of a table.

    Args:
        states: of the rows, in any case; empty: all.
        since_s: rows that were created in the last so many seconds; None: of any age.
        wide: also columns that the server holds to be less important.
        everywhere: with a column for the namespace.
    """

    states: frozenset[str] = frozenset()
    since_s: int | None = None
    wide: bool = False
    everywhere: bool = False


def seconds(text: str) -> int:
    """Read a duration such as `90s`, `10m`, `2h` or `1d`.

    Args:
        text: of the command line.

    Returns:
        seconds.

    Raises:
        Problem: it is none.
    """
    found = _DURATION.match(text)
    if found is None:
        raise Problem(f"{text}: write a duration as 90s, 10m, 2h or 1d")
    return int(found[1]) * _UNITS[found[2]]


def lines(table: Raw, wanted: Wanted, now: str) -> list[str]:
    """Return a table of the server as lines, the newest object last; the first line is the head.

    Args:
        table: `meta.k8s.io/v1 Table`.
        wanted: which of it.
        now: what ages are counted to.
    """
    columns = [column for column in table["columnDefinitions"] if wanted.wide or not column.get("priority")]
    places = [table["columnDefinitions"].index(column) for column in columns]
    head = [column["name"].upper() for column in columns]
    rows = [row for row in table.get("rows") or [] if _is_wanted(table, row, wanted, now)]
    rows.sort(key=lambda row: str(row["object"]["metadata"]["creationTimestamp"]))
    cells = [[_cell(row["cells"][place]) for place in places] for row in rows]
    if wanted.everywhere:
        head = ["NAMESPACE", *head]
        cells = [[row["object"]["metadata"]["namespace"], *of_row] for row, of_row in zip(rows, cells, strict=True)]
    return columns_of([head, *cells])


def columns_of(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines of equally wide columns.

    Args:
        rows: all of one length.
    """
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def keeps(wanted: Wanted, now: str) -> Callable[[Raw], bool]:
    """Return whether an object is among the wanted ones, for those that are not shown as a table.

    Args:
        wanted: which.
        now: what ages are counted to.
    """

    def keep(item: Raw) -> bool:
        return _fits(wanted, str(item.get("status", {}).get("state", "Pending")), item["metadata"], now)

    return keep


def _is_wanted(table: Raw, row: Raw, wanted: Wanted, now: str) -> bool:
    names = [column["name"] for column in table["columnDefinitions"]]
    state = row["cells"][names.index("State")] if "State" in names else ""
    return _fits(wanted, str(state or "Pending"), row["object"]["metadata"], now)


def _fits(wanted: Wanted, state: str, metadata: Raw, now: str) -> bool:
    if wanted.states and state.lower() not in wanted.states:
        return False
    age_s = view.seconds_between(metadata["creationTimestamp"], now)
    return wanted.since_s is None or age_s is None or age_s <= wanted.since_s


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
