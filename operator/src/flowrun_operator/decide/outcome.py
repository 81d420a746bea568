"""Outcome: how did the attempt end, and whose fault was it?

Only the driver's own message counts as a result; exit codes never do (facts: Prefect 3.8 exits 0 for a failed flow).
A driver that ended without one was killed: an infrastructure failure, which Prefect has not heard of. A pod that
Kubernetes itself has ended (DisruptionTarget) was lost to that, whatever phase and exit code its process left behind: a
process that exits with 0 on SIGTERM leaves a pod that Succeeded.
"""

from __future__ import annotations

from flowrun_api.contract import Result, ResultType, parse_result
from flowrun_api.kinds.ends import CLASSES
from flowrun_api.kinds.flowrun import FailureClass, PrefectFlowRun
from flowrun_operator.decide.plan import AttemptOutcome
from flowrun_operator.model import AttemptView, PodFacts, Problem, Terminated

_PREEMPTED = {"PreemptionByScheduler", "WorkloadEvictedDueToPreempted"}
# A node that came back does not know how the containers ended that it had lost.
_UNKNOWN_ENDS = {"Unknown", "ContainerStatusUnknown", "NodeLost"}
_SIGKILL_EXIT = 137
_SAID = 500


def attempt_outcome(attempt: AttemptView) -> AttemptOutcome | None:
    """Return how an attempt ended, or None while it has not."""
    driver, job = attempt.driver, attempt.job
    ended = _end_of_driver(driver)
    if ended is not None and not ended.infrastructure:
        return ended
    if job is not None and job.failure and job.failure.reason == "DeadlineExceeded":
        return overdue()  # before a driver's "Terminated": it was the deadline that stopped it
    if ended is not None:
        return ended
    if job is None:
        return _lost("DriverDeleted", "the driver's Job was deleted") if attempt.job_gone else None
    if driver is not None:
        # While the pod is there its end, with the result, is still to come: Jobs and pods come by different watches.
        return _out_of_reach(driver) if driver.deleting and driver.unreachable else None
    # The pod may only not have been seen yet: then the API server is asked for it (F06).
    failure = job.failure if attempt.pod_gone else None
    return _lost("DriverLost", f"the driver's pod is gone: {failure.message}") if failure else None


def overdue(after: str = "") -> AttemptOutcome:
    """Return the end of a run that took too long.

    Args:
        after: What its last attempt died of, if it was between two.
    """
    last = f"; the last attempt ended with {after}" if after else ""
    return AttemptOutcome(
        reason="DeadlineExceeded",
        message=f"the run took longer than activeDeadlineSeconds{last}",
        type=ResultType.FAILED,
        failure=FailureClass.USER,
        reported=False,
    )


def _end_of_driver(driver: PodFacts | None) -> AttemptOutcome | None:
    if driver is None or driver.terminated is None:
        return None
    result = parse_result(driver.terminated.message)
    words = _from_result(result, driver, driver.terminated) if result else None
    if words is not None and not words.infrastructure:
        return words
    if driver.disruption is not None:
        return _disrupted(driver, driver.terminated, driver.disruption)
    return words or _killed(driver, driver.terminated)


def _from_result(result: Result, driver: PodFacts, end: Terminated) -> AttemptOutcome:
    failure = _class_of(result)
    message = result.message
    if failure is FailureClass.INFRASTRUCTURE:
        message = f"{message[:_SAID]} ({place(driver)}, exit code {end.exit_code})"
    return AttemptOutcome(
        reason=result.reason,
        message=message,
        type=result.type,
        failure=failure,
        # CRASHED ends are told again: the driver may have been too short of time to repair its task runs.
        reported=result.prefect_informed and result.type is not ResultType.CRASHED,
        flow_run=PrefectFlowRun(id=result.flow_run_id, state=result.name) if result.flow_run_id else None,
    )


def _class_of(result: Result) -> FailureClass | None:
    if result.type is ResultType.COMPLETED:
        return None
    # Cancelled is cancelled, whatever words the driver has for it.
    default = FailureClass.USER if result.type is ResultType.CANCELLED else FailureClass.INFRASTRUCTURE
    return CLASSES.get(result.reason, default)


def _disrupted(driver: PodFacts, end: Terminated, why: Problem) -> AttemptOutcome:
    if why.reason in _PREEMPTED:
        reason = "DriverPreempted"
    elif why.reason == "DeletionByPodGC" or end.reason in _UNKNOWN_ENDS:
        reason = "NodeLost"
    else:
        reason = "DriverEvicted"
    return _lost(reason, f"{place(driver)} was ended by Kubernetes: {why.reason}: {why.message}; {_how(end)}")


def _out_of_reach(driver: PodFacts) -> AttemptOutcome:
    """Return the end of a driver on a node that does not answer, given up by Kubernetes; `fencing` waits for more."""
    why = f" ({driver.disruption.reason})" if driver.disruption else ""
    return _lost("NodeLost", f"{place(driver)} is lost: the node does not answer and the pod is being deleted{why}")


def _killed(driver: PodFacts, end: Terminated) -> AttemptOutcome:
    where, how = place(driver), _how(end)
    if end.reason == "OOMKilled":
        advice = "the driver exceeded its memory limit: raise spec.driver.resources.limits.memory"
        return _lost("DriverOutOfMemory", f"{advice} ({where}; {how})")
    if end.reason in _UNKNOWN_ENDS:
        return _lost("NodeLost", f"{where} was lost with its node, which may have restarted: {how}")
    if end.reason == "Evicted":
        return _lost("DriverEvicted", f"{where} was evicted: {end.message.strip()[:_SAID]}")
    if end.exit_code == _SIGKILL_EXIT:
        return _lost(
            "DriverKilled", f"the driver was killed (SIGKILL) before it could tell its result ({where}; {how})"
        )
    said = f": {end.message.strip()[:_SAID]}" if end.message else ""
    return _lost(
        "DriverExited", f"the driver ended with exit code {end.exit_code} and no result ({where}; {how}){said}"
    )


def place(driver: PodFacts) -> str:
    """Return a pod and its node, for a message."""
    return f"pod {driver.name} on node {driver.node}" if driver.node else f"pod {driver.name}"


def _how(end: Terminated) -> str:
    if end.exit_code < 0:
        return f"its container did not tell how it ended ({end.reason})"
    return f"its container ended with {end.reason or 'no reason'}, exit code {end.exit_code}"


def _lost(reason: str, message: str) -> AttemptOutcome:
    return AttemptOutcome(
        reason=reason,
        message=message,
        type=ResultType.CRASHED,
        failure=FailureClass.INFRASTRUCTURE,
        reported=False,
    )
