"""What the end of a driver's process says of an attempt."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrun_api.contract import Reason, Result, ResultType
from prefect_flowrun.laptop import ending


def left(path: Path, type_: ResultType, reason: Reason, message: str = "why") -> Path:
    Result(type=type_, name="Name", message=message, reason=reason).write(path)
    return path


@pytest.mark.parametrize(
    ("type_", "reason", "again"),
    [
        (ResultType.COMPLETED, Reason.FLOW_COMPLETED, False),
        (ResultType.FAILED, Reason.FLOW_FAILED, False),
        (ResultType.FAILED, Reason.INVALID_PARAMETERS, False),
        (ResultType.FAILED, Reason.CLUSTER_STARTUP_FAILED, True),
        (ResultType.CANCELLED, Reason.TERMINATED, False),
        (ResultType.CRASHED, Reason.COORDINATOR_LOST, True),
    ],
)
def test_only_what_is_not_the_flows_own_may_be_tried_again(
    tmp_path: Path, type_: ResultType, reason: Reason, again: bool
) -> None:
    ended = ending.of_driver(left(tmp_path / "result", type_, reason), 7, 1)
    assert (ended.reason, ended.type, ended.infrastructure) == (reason, type_, again)
    assert ("process 7, exit code 1" in ended.message) is again


def test_a_driver_without_a_result_was_killed_whatever_its_exit_code(tmp_path: Path) -> None:
    ends = {code: ending.of_driver(tmp_path / "none", 7, code) for code in (-9, -11, 0, 3)}
    assert {code: end.reason for code, end in ends.items()} == {
        -9: "DriverKilled",
        -11: "DriverExited",
        0: "DriverExited",
        3: "DriverExited",
    }
    assert "SIGSEGV" in ends[-11].message
    assert all(end.type is ResultType.CRASHED and end.infrastructure and not end.reported for end in ends.values())


def test_half_a_result_is_none(tmp_path: Path) -> None:
    (tmp_path / "result").write_text('{"type": "COMPL')
    assert ending.of_driver(tmp_path / "result", 7, -9).reason == "DriverKilled"


def test_what_was_asked_for_is_the_end_unless_a_result_came_first(tmp_path: Path) -> None:
    crashed = ending.of_driver(left(tmp_path / "a", ResultType.CRASHED, Reason.TERMINATED), 7, 1)
    completed = ending.of_driver(left(tmp_path / "b", ResultType.COMPLETED, Reason.FLOW_COMPLETED), 7, 0)
    cancelled = ending.of_driver(left(tmp_path / "c", ResultType.CANCELLED, Reason.FLOW_CANCELLED), 7, 1)
    assert ending.settled(crashed, ending.overdue()).reason == "DeadlineExceeded"
    assert ending.settled(completed, ending.cancelled()).reason == "FlowCompleted"
    assert ending.settled(completed, None) is completed
    end = ending.settled(cancelled, ending.cancelled())
    assert (end.reason, end.reported) == ("Cancelled", True)
