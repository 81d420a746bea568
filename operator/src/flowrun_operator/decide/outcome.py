"""Outcome: how did the attempt end, and whose fault was it?

Only the driver's own message counts as a result; exit codes never do (facts: Prefect 3.8 exits 0 for a failed flow).
A driver that ended without one was killed: an infrastructure failure, which Prefect has not heard of.
"""

from __future__ import annotations

from flowrun_operator.api.flowrun import PrefectFlowRun
from flowrun_operator.contract import Result, ResultType, parse_result
from flowrun_operator.decide.plan import AttemptOutcome
from flowrun_operator.model import AttemptView, PodFacts, Terminated

# Ends that come from the flow or its user; every other one is the infrastructure's.
_FLOW_REASONS = {"FlowCompleted", "FlowFailed", "FlowCancelled", "FlowLoadFailed", "InvalidParameters"}
_SIGKILL_EXIT = 137


def attempt_outcome(attempt: AttemptView) -> AttemptOutcome | None:
    """Return how an attempt ended, or None while it has not."""
    ended = _end_of_driver(attempt.driver)
    if ended is not None and not ended.infrastructure:
        return ended
    if attempt.job is not None and attempt.job.failure and attempt.job.failure.reason == "DeadlineExceeded":
        # Before a driver's "Terminated": it was the deadline that stopped it.
        return AttemptOutcome(
            reason="DeadlineExceeded",
            message="the attempt took longer than activeDeadlineSeconds",
            type=ResultType.FAILED,
            infrastructure=False,
            reported=False,
        )
    if ended is not None:
        return ended
    if attempt.job is None:
        return _lost("DriverDeleted", "the driver's Job was deleted") if attempt.job_gone else None
    # Jobs and pods come by different watches: while the pod looks alive its end, with the result, is still to come.
    if attempt.job.failure is not None and (attempt.driver is None or attempt.driver.deleting):
        return _lost("DriverLost", f"the driver's pod is gone: {attempt.job.failure.message}")
    return None


def _end_of_driver(driver: PodFacts | None) -> AttemptOutcome | None:
    if driver is None or driver.terminated is None:
        return None
    result = parse_result(driver.terminated.message)
    return _from_result(result) if result else _killed(driver.terminated)


def _from_result(result: Result) -> AttemptOutcome:
    return AttemptOutcome(
        reason=result.reason,
        message=result.message,
        type=result.type,
        infrastructure=result.reason not in _FLOW_REASONS,
        # CRASHED ends are told again: the driver may have been too short of time to repair its task runs.
        reported=result.type is not ResultType.CRASHED,
        flow_run=PrefectFlowRun(id=result.flow_run_id, state=result.name) if result.flow_run_id else None,
    )


def _killed(terminated: Terminated) -> AttemptOutcome:
    if terminated.reason == "OOMKilled":
        return _lost(
            "DriverOutOfMemory", "the driver exceeded its memory limit: raise spec.driver.resources.limits.memory"
        )
    if terminated.exit_code == _SIGKILL_EXIT:
        return _lost("DriverKilled", "the driver was killed (SIGKILL) before it could tell its result")
    said = f": {terminated.message.strip()[:500]}" if terminated.message else ""
    return _lost("DriverExited", f"the driver ended with exit code {terminated.exit_code} and no result{said}")


def _lost(reason: str, message: str) -> AttemptOutcome:
    return AttemptOutcome(reason=reason, message=message, type=ResultType.CRASHED, infrastructure=True, reported=False)
