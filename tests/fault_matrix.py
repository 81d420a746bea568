"""pytest plugin: what the tests with a fault's id in their name did, as JSON for `dev/fault_matrix.py`.

A test may tell `tries` (how often the fault was injected) and `clean_s` (the longest time until nothing was left) by
`record_property`. Load it with `-p fault_matrix --fault-matrix=FILE`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

_records: list[dict[str, object]] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-matrix", metavar="FILE", help="write what was injected, and how it went, to this file")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call" and report.outcome == "passed":
        return
    told = dict(report.user_properties)
    outcome = "known" if getattr(report, "wasxfail", None) is not None else report.outcome
    file, _, test = report.nodeid.partition("::")
    for fault in sorted(set(re.findall(r"(?<![^\W_])F\d\d(?!\d)", test))):
        _records.append(
            {
                "id": fault,
                "tier": Path(file).parts[1],
                "test": report.nodeid,
                "outcome": outcome,
                "why": getattr(report, "wasxfail", "") if outcome == "known" else "",
                "tries": told.get("tries", 1),
                "clean_s": told.get("clean_s"),
            }
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--fault-matrix")
    if path:
        Path(path).write_text(json.dumps(_records))
