"""What a pod tells: does it run, how did it end, and what keeps it from starting."""

from __future__ import annotations

from flowrun_api.constants import MAIN_CONTAINER, OVERDUE_S
from flowrun_operator.model import PodFacts, Problem, Terminated
from flowrun_operator.observe.fields import Raw, at, condition, time_at

# Waiting reasons that are the ordinary course of starting.
_ORDINARY = {"ContainerCreating", "PodInitializing", ""}
_DISRUPTIONS = ("DisruptionTarget", "TerminationTarget")
_ADVICE = {
    "ErrImagePull": "check the image's name and the pull secrets",
    "ImagePullBackOff": "check the image's name and the pull secrets",
    "ErrImageNeverPull": "the image is not on the node and imagePullPolicy is Never",
    "InvalidImageName": "correct the image's name",
}


def pod_facts(raw: Raw, explanation: Problem | None = None) -> PodFacts:
    """Return the facts of a pod.

    Args:
        raw: The pod as the API server gives it.
        explanation: What its events say, if somebody had to ask.
    """
    status = _main_status(raw)
    over = at(raw, "status", "phase") in {"Succeeded", "Failed"}
    # Of a pod whose node is gone the API server says Failed, and of its container that it runs.
    running = at(status, "state", "running") is not None and not over
    terminated = _terminated(status) or (_ended_unseen(raw) if over else None)
    problem = None if running or terminated else _problem(raw, status) or explanation
    ready = condition(raw, "Ready")
    return PodFacts(
        name=at(raw, "metadata", "name"),
        uid=at(raw, "metadata", "uid"),
        phase=at(raw, "status", "phase") or "Pending",
        created_at=time_at(raw, "metadata", "creationTimestamp"),
        running=running,
        ready=running and ready is not None and ready.get("status") == "True",
        deleting=at(raw, "metadata", "deletionTimestamp") is not None,
        terminated=terminated,
        problem=problem,
        node=at(raw, "spec", "nodeName") or "",
        unreachable=running and _forsaken(raw),
        disruption=_disruption(raw),
        lingers=terminated is not None and not over and _has_sidecar(raw),
        overdue=at(raw, "spec", "activeDeadlineSeconds") == OVERDUE_S,
    )


def _forsaken(raw: Raw) -> bool:
    """Whether the node controller has taken the pod's readiness away: the kubelet would say both or none.

    Nothing else shows that a node is lost: the phase stays Running, the containers stay "running".
    """
    ready, containers = condition(raw, "Ready"), condition(raw, "ContainersReady")
    gated = at(raw, "spec", "readinessGates")
    return not gated and _word(ready) == "False" and _word(containers) == "True"


def _word(found: Raw | None) -> str:
    return str((found or {}).get("status", ""))


def _disruption(raw: Raw) -> Problem | None:
    for type_ in _DISRUPTIONS:
        found = condition(raw, type_)
        if found is not None and _word(found) == "True":
            return Problem(str(found.get("reason", "")), str(found.get("message", "")))
    return None


def _main_status(raw: Raw) -> Raw | None:
    statuses = at(raw, "status", "containerStatuses") or []
    named = [s for s in statuses if s.get("name") == MAIN_CONTAINER]
    return named[0] if named else None


def _has_sidecar(raw: Raw) -> bool:
    """Whether another container of the pod runs or is about to.

    Not one among the init containers (`restartPolicy: Always`): the kubelet stops those when the others have ended.
    """
    others = [s for s in at(raw, "status", "containerStatuses") or [] if s.get("name") != MAIN_CONTAINER]
    return any(at(s, "state", "terminated") is None for s in others)


def _terminated(status: Raw | None) -> Terminated | None:
    state = at(status, "state", "terminated")
    if not isinstance(state, dict):
        return None
    return Terminated(
        exit_code=int(state.get("exitCode", -1)),
        reason=str(state.get("reason", "")),
        message=str(state.get("message", "")),
        finished_at=time_at(state, "finishedAt"),
    )


def _ended_unseen(raw: Raw) -> Terminated:
    """Read a pod that is over without a container to tell of it (evicted, node gone)."""
    reason = str(at(raw, "status", "reason") or at(raw, "status", "phase"))
    message = str(at(raw, "status", "message") or "")
    return Terminated(exit_code=-1, reason=reason, message=message, finished_at=None)


def _problem(raw: Raw, status: Raw | None) -> Problem | None:
    waiting = at(status, "state", "waiting") or {}
    reason = str(waiting.get("reason", ""))
    if reason not in _ORDINARY:
        message = str(waiting.get("message", ""))
        advice = _ADVICE.get(reason)
        return Problem(reason, f"{message} ({advice})" if advice else message)
    for init in at(raw, "status", "initContainerStatuses") or []:
        reason = str(at(init, "state", "waiting", "reason") or "")
        if reason not in _ORDINARY:
            return Problem(
                reason, f"init container {init.get('name')}: {at(init, 'state', 'waiting', 'message') or ''}"
            )
    scheduled = condition(raw, "PodScheduled")
    if scheduled is not None and scheduled.get("status") == "False":
        return Problem(str(scheduled.get("reason", "Unschedulable")), str(scheduled.get("message", "")))
    return None
