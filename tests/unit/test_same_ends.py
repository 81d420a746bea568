"""Every end that a run can have is told by the same reason and exit code on a laptop as on a cluster.

The driver's process leaves the same in both worlds, a termination message and an exit code. What the operator makes of
it, and what the command makes of either world's object, are asked side by side.
"""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from operator_testing.builders import (
    NOW,
    a_run,
    a_view,
    ago,
    an_attempt,
    attempt_status,
    ended_pod,
    message,
)
from rich.console import Console

from flowrun.cli.following.follower import Follower
from flowrun.cli.following.interrupts import EXIT_INTERRUPTED, Interrupts
from flowrun.cli.local import NoLog
from flowrun_api.contract import ResultType
from flowrun_operator.decide import decide_run
from flowrun_operator.decide.retry import BACKOFF_S
from prefect_flowrun.laptop import ending, run
from prefect_flowrun.laptop.ending import Ending

Raw = dict[str, Any]
SIGKILLED = 128 + signal.SIGKILL


@dataclass(frozen=True)
class End:
    """What a driver leaves, and what its user has asked for meanwhile."""

    text: str = ""
    code: int = 0
    cancel: bool = False
    overdue: bool = False


ENDS = {
    "completed": End(message()),
    "failed": End(message("FAILED", "FlowFailed"), 1),
    "bad parameters": End(message("FAILED", "InvalidParameters"), 1),
    "missing function": End(message("FAILED", "FlowLoadFailed"), 1),
    "syntax error": End(message("FAILED", "FlowLoadFailed"), 1),
    "cancelled in Prefect": End(message("CANCELLED", "FlowCancelled"), 1),
    "killed driver": End("", SIGKILLED),
    "driver that left nothing": End("", 3),
    "lost scheduler": End(message("CRASHED", "CoordinatorLost"), 1),
    "Prefect is away": End(message("FAILED", "PrefectUnreachable"), 1),
    "no git host": End(message("FAILED", "SourceUnreachable"), 1),
    "Ctrl-C": End(message("CANCELLED", "FlowCancelled"), 1, cancel=True),
    "Ctrl-C, and it would not end": End("", SIGKILLED, cancel=True),
    "Ctrl-C, and it completed": End(message(), 0, cancel=True),
    "deadline": End(message("CRASHED", "Terminated"), 1, overdue=True),
}


def on_a_cluster(end: End, retries: int = 0) -> Raw | None:
    """Return the object of a run whose driver has ended so; None where another attempt follows."""
    spec: Raw = {"retryPolicy": {"maxInfrastructureRetries": retries}}
    spec |= {"cancel": True} if end.cancel else {}
    spec |= {"activeDeadlineSeconds": 5} if end.overdue else {}
    pod = ended_pod(end.text, end.code, reason="Completed" if end.code == 0 else "Error")
    # The operator writes down a cancellation at once, and then stops the driver: only what ended before counts.
    attempt = an_attempt() if end.cancel and end.code else an_attempt(driver=pod)
    run = a_run(spec, {"attempts": [attempt_status(age_s=60)], "startTime": ago(60).isoformat()})
    status = decide_run(a_view(attempt, run=run), NOW).status
    assert status is not None
    found = {"metadata": {"name": "etl", "uid": "u"}, "status": status.to_api()}
    (succeeded,) = [each for each in found["status"]["conditions"] if each["type"] == "Succeeded"]
    return None if succeeded["status"] == "Unknown" else found


def on_a_laptop(end: End, folder: Path) -> Ending:
    result = folder / "result"
    if end.text:
        result.write_text(end.text)
    code = -signal.SIGKILL if end.code == SIGKILLED else end.code
    asked = ending.cancelled() if end.cancel else ending.overdue() if end.overdue else None
    return ending.settled(ending.of_driver(result, 7, code), asked)


class Told:
    """A place where the run is, for the command."""

    ends_with_command = False

    def __init__(self, run: Raw) -> None:
        self.run = run

    def get(self, _name: str) -> Raw:
        return self.run

    cancel = get


def exit_code(run: Raw, *, interrupted: bool) -> int:
    interrupts = Interrupts()
    follower = Follower(Told(run), run, NoLog(), Console(quiet=True), interrupts, cancels=True)
    follower._cancelled = interrupted  # Ctrl-C was pressed before the run had its end
    return follower.until_end()


@pytest.mark.parametrize("name", ENDS)
def test_reason_and_exit_code_are_the_same(name: str, tmp_path: Path) -> None:
    end = ENDS[name]
    there, here = on_a_cluster(end), on_a_laptop(end, tmp_path)
    assert there is not None
    (succeeded,) = [each for each in there["status"]["conditions"] if each["type"] == "Succeeded"]
    assert here.reason == succeeded["reason"]
    assert (here.type is ResultType.COMPLETED) == (succeeded["status"] == "True")
    condition = {"type": "Succeeded", "status": str(here.type is ResultType.COMPLETED), "reason": here.reason}
    local = {"metadata": there["metadata"], "status": {"conditions": [{**condition, "message": ""}]}}
    codes = {exit_code(run, interrupted=end.cancel) for run in (there, local)}
    expected = 0 if succeeded["status"] == "True" else EXIT_INTERRUPTED if end.cancel else 1
    assert codes == {expected}


@pytest.mark.parametrize("name", ENDS)
def test_the_same_ends_are_tried_again(name: str, tmp_path: Path) -> None:
    end = ENDS[name]
    again = on_a_cluster(end, retries=1) is None
    assert on_a_laptop(end, tmp_path).infrastructure == again
    assert run.BACKOFF_S == BACKOFF_S


def test_a_suspended_run_has_no_end_there_and_is_not_begun_here(tmp_path: Path) -> None:
    from prefect_flowrun.laptop import spec
    from prefect_flowrun.laptop.problem import CannotRun

    status = decide_run(a_view(run=a_run({"suspend": True})), NOW).status
    assert status is not None
    assert (status.state, status.completion_time) == ("Suspended", None)
    with pytest.raises(CannotRun, match=r"spec\.suspend is true"):
        spec.read({"spec": {"flow": {"entrypoint": "etl.py:etl"}, "suspend": True}})


def test_the_messages_are_as_a_driver_writes_them() -> None:
    for end in ENDS.values():
        assert not end.text or json.loads(end.text)["reason"]
