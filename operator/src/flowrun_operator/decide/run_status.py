"""The status of a FlowRun, computed whole from the view and the verdict.

Conditions: `Succeeded` is the result (Unknown while active, then written once); `DriverRunning`, `ClustersReady` and
`Suspended` tell what is going on. `state` is for the printer column only.
"""

from __future__ import annotations

from datetime import datetime

from flowrun_api.contract import ResultType
from flowrun_api.kinds.clusters import ClusterSpec
from flowrun_api.kinds.common import ConditionStatus
from flowrun_api.kinds.flowrun import AttemptStatus, ClusterState, FailureClass, FlowRunSpec, FlowRunStatus
from flowrun_api.kinds.naming import attempt_name, cluster_name
from flowrun_operator.children import belonging_names
from flowrun_operator.children.clusters import port_of
from flowrun_operator.decide import informed
from flowrun_operator.decide.conditions import condition, merge
from flowrun_operator.decide.fencing import unreachable
from flowrun_operator.decide.plan import STOPPED, AttemptOutcome, Await, Hold, StartAttempt
from flowrun_operator.engines import ENGINES
from flowrun_operator.model import AttemptView, ClusterFacts, Problem, RunView

_STATES = {ResultType.COMPLETED: "Succeeded", ResultType.CANCELLED: "Cancelled"}
_Bare = tuple[str, ConditionStatus, str, str]


def closed(view: RunView, outcome: AttemptOutcome, now: datetime) -> FlowRunStatus:
    """Status when an attempt has failed and another one follows."""
    number = view.current.number + 1 if view.current else 1
    message = _follows(number, outcome.reason)
    return _between(view, ("Starting", message), _close(view, outcome, now), now, informed.ends_untold(view))


def starting(view: RunView, verdict: StartAttempt, now: datetime) -> FlowRunStatus:
    """Status when an attempt starts, or waits to."""
    attempts = list(view.run.status.attempts)
    if (
        verdict.wait_s == 0 and _refusal(view, verdict.number) is None
    ):  # when refused nothing was created: no attempt until it exists
        attempts.append(AttemptStatus(number=verdict.number, start_time=now))
    refused = _refusal(view, verdict.number)
    why = (refused.reason, refused.message) if refused else ("Starting", _follows(verdict.number, verdict.failed))
    return _between(view, why, attempts, now, informed.now_known(view))


def awaiting(view: RunView, verdict: Await, now: datetime) -> FlowRunStatus:
    """Status when an attempt is next that may not start yet."""
    why = (verdict.reason, verdict.message)
    return _between(view, why, list(view.run.status.attempts), now, informed.now_known(view))


def _follows(number: int, failed: str | None) -> str:
    return f"attempt {number} starts" + (f" after attempt {number - 1} failed: {failed}" if failed else "")


def _between(
    view: RunView, why: tuple[str, str], attempts: list[AttemptStatus], now: datetime, told: _Bare | None
) -> FlowRunStatus:
    """Status while no driver is there."""
    reason, said = why
    return _status(
        view,
        now,
        state="Starting",
        attempts=attempts,
        conditions=[
            condition("Succeeded", None, reason, said),
            condition("DriverRunning", False, reason, said),
            _clusters_ready(view, None),
            condition("Suspended", False, "NotSuspended"),
        ],
        told=told,
    )


def _refusal(view: RunView, number: int) -> Problem | None:
    """Return why the API server refused the attempt's Job, or what must be there before it."""
    own = [name for _, name in belonging_names(view.run, number, view.defaults)]
    names = [*own, attempt_name(view.run.metadata.name, number)]
    return next((view.problems[name] for name in names if name in view.problems), None)


def active(view: RunView, now: datetime) -> FlowRunStatus:
    """Status while an attempt goes on."""
    current = view.current
    driver = _driver_running(current)
    running = driver[1] is ConditionStatus.TRUE
    lost_sight = current is not None and current.driver is not None and current.driver.unreachable
    succeeded = (
        condition("Succeeded", None, "Running", "the flow runs")
        if running
        else condition("Succeeded", None, *driver[2:])
    )
    return _status(
        view,
        now,
        state="Running" if running or lost_sight else "Starting",
        attempts=_recorded(view, now),
        conditions=[
            succeeded,
            driver,
            _clusters_ready(view, current),
            condition("Suspended", False, "NotSuspended"),
        ],
        told=informed.now_known(view),
    )


def held(view: RunView, verdict: Hold, now: datetime) -> FlowRunStatus:
    """Status while nothing may run."""
    attempts = _recorded(view, now)
    told = informed.now_known(view)
    if attempts and attempts[-1].completion_time is None:
        ended = {"completion_time": now, "reason": STOPPED, "failure_class": FailureClass.USER}
        attempts[-1] = attempts[-1].model_copy(update=ended)
        told = informed.ends_untold(view)
    return _status(
        view,
        now,
        state="Suspended",
        attempts=attempts,
        conditions=[
            condition("Succeeded", None, verdict.reason, verdict.message),
            condition("DriverRunning", False, verdict.reason, verdict.message),
            condition("ClustersReady", False, verdict.reason, verdict.message),
            condition("Suspended", True, verdict.reason, verdict.message),
        ],
        told=told,
    )


def finished(view: RunView, outcome: AttemptOutcome, now: datetime) -> FlowRunStatus:
    """Status with the result. It is never changed again."""
    completed = outcome.type is ResultType.COMPLETED
    state = _STATES.get(outcome.type, "Failed")
    status = _status(
        view,
        now,
        state=state,
        attempts=_close(view, outcome, now),
        conditions=[
            condition("Succeeded", completed, outcome.reason, outcome.message),
            condition("DriverRunning", False, "Finished", too_late(view.run.spec, state)),
            condition("ClustersReady", False, "Finished"),
            condition("Suspended", False, "NotSuspended"),
        ],
        told=informed.at_end(view, outcome),
    )
    gone = {"ready_workers": 0, "dashboard_url": None, "dashboard_ready": None}
    clusters = [c.model_copy(update=gone) for c in status.clusters]
    flow_run = status.flow_run
    if outcome.flow_run is not None:
        known = flow_run if flow_run is not None and flow_run.id == outcome.flow_run.id else None
        flow_run = outcome.flow_run.model_copy(
            update={"name": known.name if known else None, "url": _url(view, outcome.flow_run.id)}
        )
    elif flow_run is not None:
        flow_run = flow_run.model_copy(update={"state": outcome.type.value.capitalize()})
    return status.model_copy(
        update={"completion_time": now, "clusters": clusters, "flow_run": flow_run, "workers": None}
    )


def too_late(spec: FlowRunSpec, state: str) -> str:
    """Return what of the spec has no effect on a run that has its result, in words for its user."""
    ignored = ["spec.cancel"] if spec.cancel and state != "Cancelled" else []
    ignored += ["spec.suspend"] if spec.suspend else []
    return f"no effect of {' and '.join(ignored)}: the run has ended and its result stands" if ignored else ""


def _status(
    view: RunView,
    now: datetime,
    *,
    state: str,
    attempts: list[AttemptStatus],
    conditions: list[_Bare],
    told: _Bare | None,
) -> FlowRunStatus:
    old = view.run.status
    generation = view.run.metadata.generation
    flow_run = view.flow_run or old.flow_run
    if flow_run is not None and flow_run.url is None:
        flow_run = flow_run.model_copy(update={"url": _url(view, flow_run.id)})
    clusters = _cluster_states(view)
    ready, wanted = sum(c.ready_workers for c in clusters), sum(c.workers for c in clusters)
    return FlowRunStatus(
        workers=f"{ready}/{wanted}" if clusters else None,
        conditions=merge(old.conditions, [*conditions, *([told] if told else [])], generation, now),
        observed_generation=generation,
        state=state,
        start_time=old.start_time or (attempts[0].start_time if attempts else None),
        completion_time=old.completion_time,
        attempts=attempts,
        flow_run=flow_run,
        clusters=clusters,
    )


def _recorded(view: RunView, now: datetime) -> list[AttemptStatus]:
    """Return the attempts with the current one among them, even if no status has told of it yet."""
    attempts = list(view.run.status.attempts)
    current = view.current
    if current is not None and all(a.number != current.number for a in attempts):
        created = current.job.created_at if current.job else None
        attempts.append(AttemptStatus(number=current.number, start_time=created or now))
    return attempts


def _close(view: RunView, outcome: AttemptOutcome, now: datetime) -> list[AttemptStatus]:
    """Return the attempts with the newest one ended."""
    attempts = _recorded(view, now)
    if attempts and attempts[-1].completion_time is None:
        ended = {
            "completion_time": now,
            "failure_class": outcome.failure,
            "reason": outcome.reason,
            "message": outcome.message[:1024] or None,
        }
        attempts[-1] = attempts[-1].model_copy(update=ended)
    return attempts


def _driver_running(current: AttemptView | None) -> _Bare:
    if current is None or current.job is None:
        return condition("DriverRunning", False, "Starting", "the driver is about to be created")
    driver = current.driver
    problem = driver.problem if driver else current.job.problem
    if problem is not None:
        return condition("DriverRunning", False, problem.reason, problem.message)
    if driver is None:
        return condition("DriverRunning", False, "Starting", "the driver's pod is about to be created")
    if driver.unreachable:
        return condition("DriverRunning", False, "NodeUnreachable", unreachable(driver, "The run waits"))
    if driver.running:
        return condition("DriverRunning", True, "Running")
    return condition("DriverRunning", False, "Starting", f"pod {driver.name} is {driver.phase}")


def _clusters_ready(view: RunView, current: AttemptView | None) -> _Bare:
    wanted = view.run.spec.clusters
    if not wanted:
        return condition("ClustersReady", True, "NoClusters", "tasks run in the driver")
    existing = {c.name: c for c in current.clusters} if current else {}
    waiting = []
    for spec in wanted:
        cluster = existing.get(spec.name)
        if cluster is not None and cluster.problem is not None:
            return condition("ClustersReady", False, cluster.problem.reason, f"{spec.name}: {cluster.problem.message}")
        if cluster is None and current is not None:
            refused = view.problems.get(cluster_name(view.run.metadata.name, current.number, spec.name))
            if refused is not None:
                return condition("ClustersReady", False, refused.reason, f"{spec.name}: {refused.message}")
        ready, replicas = _workers(spec, cluster)
        if ready < replicas:
            waiting.append(f"{spec.name}: {ready} of {replicas} workers ready")
    if waiting:
        return condition("ClustersReady", False, "WorkersStarting", "; ".join(waiting))
    return condition("ClustersReady", True, "AllWorkersReady")


def _cluster_states(view: RunView) -> list[ClusterState]:
    current = view.current
    existing = {c.name: c for c in current.clusters} if current else {}
    states = []
    for index, spec in enumerate(view.run.spec.clusters):
        cluster = existing.get(spec.name)
        ready, replicas = _workers(spec, cluster)
        address = cluster.address if cluster else None
        state = ClusterState(name=spec.name, engine=spec.engine, address=address, workers=replicas, ready_workers=ready)
        if spec.dashboard and cluster is not None:
            host = f"{cluster.object_name}.{view.run.metadata.namespace}.svc"
            state.dashboard_url = ENGINES[spec.engine].dashboard_url(host, port_of(view.run, index))
            state.dashboard_ready = ready > 0
        states.append(state)
    return states


def _workers(spec: ClusterSpec, cluster: ClusterFacts | None) -> tuple[int, int]:
    """Return ready and wanted workers; a TaskCluster may have been scaled since it was made."""
    return (cluster.ready_workers, cluster.workers) if cluster else (0, spec.workers_at_start)


def _url(view: RunView, flow_run_id: str) -> str | None:
    base = view.defaults.prefect_ui_url
    return f"{base.rstrip('/')}/runs/flow-run/{flow_run_id}" if base else None
