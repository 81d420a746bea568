"""How did an attempt end, and whose fault was it? In the operator's words, see its `decide.outcome`.

Only the driver's own result counts, exit codes never do. A driver that ended without one was killed.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from flowrun_api.contract import Reason, Result, ResultType
from flowrun_api.kinds.ends import CLASSES

_SAID = 500


@dataclass(frozen=True)
class Ending:
    """The end of an attempt."""

    reason: str
    message: str
    type: ResultType
    infrastructure: bool = False
    """Whether another attempt may do better."""
    reported: bool = False
    """Whether Prefect has heard of it."""


def cancelled() -> Ending:
    """Return the end that Ctrl-C asks for."""
    return Ending("Cancelled", "Ctrl-C was pressed", ResultType.CANCELLED)


def overdue(after: str = "") -> Ending:
    """Return the end of a run that took too long.

    Args:
        after: reason of the attempt before, if it was between two.
    """
    last = f"; the last attempt ended with {after}" if after else ""
    message = f"the run took longer than activeDeadlineSeconds{last}"
    return Ending("DeadlineExceeded", message, ResultType.FAILED)


def without_server(code: int) -> Ending:
    """Return the end of a run whose own Prefect server has ended.

    Args:
        code: the server's exit code, negative for a signal.
    """
    message = f"Prefect's server of the run ended with exit code {code}; --all shows its lines"
    # There is nobody left to report to.
    return Ending(Reason.PREFECT_UNREACHABLE, message, ResultType.CRASHED, reported=True)


def settled(ended: Ending, asked: Ending | None) -> Ending:
    """Return the end of an attempt whose driver was told to stop.

    Args:
        ended: how its driver has ended.
        asked: why it was told to; None if it was not.
    """
    if asked is None:
        return ended
    if ended.infrastructure:
        return asked
    # A result that came first stands.
    return replace(asked, reported=ended.reported) if ended.type is asked.type else ended


def of_driver(result_file: Path, pid: int, code: int) -> Ending:
    """Return how a driver has ended.

    Args:
        result_file: where it leaves its result.
        pid: its number.
        code: exit code, negative for a signal.
    """
    try:
        result = Result.model_validate_json(result_file.read_bytes())
    except (OSError, ValidationError):
        return _killed(pid, code)
    may_do_better = result.type in {ResultType.CRASHED, ResultType.FAILED} and result.reason not in CLASSES
    message = result.message
    if may_do_better:
        message = f"{message[:_SAID]} (process {pid}, exit code {code})"
    return Ending(
        result.reason,
        message,
        result.type,
        infrastructure=may_do_better,
        # A driver that crashed may have been too short of time to end its task runs.
        reported=result.prefect_informed and result.type is not ResultType.CRASHED,
    )


def _killed(pid: int, code: int) -> Ending:
    if code == -signal.SIGKILL:
        reason, how = "DriverKilled", "the driver was killed (SIGKILL) before it could tell its result"
    elif code < 0:
        reason, how = "DriverExited", f"the driver was ended by {_name(-code)} and left no result"
    else:
        reason, how = "DriverExited", f"the driver ended with exit code {code} and no result"
    return Ending(reason, f"{how} (process {pid})", ResultType.CRASHED, infrastructure=True)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
