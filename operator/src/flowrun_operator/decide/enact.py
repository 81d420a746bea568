"""From a verdict to a plan: which children to create, which to remove, what to write."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from flowrun_api.contract import ResultType
from flowrun_api.kinds.naming import attempt_name
from flowrun_operator.children import belonging_names, belongings, driver_job, task_cluster
from flowrun_operator.decide import afterwards, informed, run_status
from flowrun_operator.decide.deadline import left_s
from flowrun_operator.decide.deletion import kept, kept_at_end
from flowrun_operator.decide.plan import (
    EXPLAIN_AFTER_S,
    Action,
    AnnounceCancel,
    Await,
    CloseAttempt,
    Confirm,
    ConfirmPod,
    Continue,
    Create,
    Delete,
    DeleteWorkers,
    DropReport,
    Expire,
    Explain,
    Finish,
    Hold,
    LookAtRoom,
    LookUpFlowRun,
    Measure,
    Plan,
    Settle,
    StartAttempt,
    Verdict,
)
from flowrun_operator.decide.room import need
from flowrun_operator.decide.sidecars import end_sidecars
from flowrun_operator.model import AttemptView, RunView

# A driver needs about this long before it has registered its flow run.
_LOOK_UP_AFTER_S = 1.0


def enact(view: RunView, verdict: Verdict, now: datetime) -> Plan:
    """Turn a verdict into a plan."""
    plan = Plan()
    match verdict:
        case Expire():
            plan = Plan(actions=(Delete("FlowRun", view.run.metadata.name, view.run.metadata.uid),))
        case Settle(check_after_s=after):
            actions = (*_stop_all(view, keep_ended=True, kept=kept(view, now)), *informed.actions(view, now))
            plan = Plan(actions=actions, status=afterwards.settled(view, now), final=True, requeue_after_s=after)
        case Finish():
            plan = _finish(view, verdict, now)
        case Hold():
            plan = _hold(view, verdict, now)
        case CloseAttempt(outcome=outcome):
            actions = (*remove(view, keep=None), *_strip(view))
            status = run_status.closed(view, outcome, now)
            plan = Plan(actions=actions, status=status, final=True, requeue_after_s=0)
        case StartAttempt():
            plan = _start(view, verdict, now)
        case Await():
            actions = (*remove(view, keep=None), *informed.actions(view, now))
            looks = (verdict.check_after_s, informed.check_after_s(view, now))
            after = min((look for look in looks if look is not None), default=None)
            plan = Plan(actions=actions, status=run_status.awaiting(view, verdict, now), requeue_after_s=after)
        case Measure():
            return Plan(actions=(LookAtRoom(),))
        case Continue(check_after_s=after):
            actions = (*_missing_clusters(view), *_questions(view, now), *remove(view, keep=view.current))
            status = run_status.active(view, now)
            plan = Plan(actions=actions, status=status, final=_unrecorded(view), requeue_after_s=after)
    return replace(plan, actions=(*plan.actions, *end_sidecars(view)))


def _unrecorded(view: RunView) -> bool:
    """Whether the attempt is not in the status yet: to the next operator a deleted Job was never made (F14)."""
    current, recorded = view.current, {attempt.number for attempt in view.run.status.attempts}
    return current is not None and current.job is not None and current.number not in recorded


def remove(view: RunView, keep: AttemptView | None) -> list[Action]:
    """Remove clusters and workers of every attempt but one; finished Jobs stay for their log."""
    actions: list[Action] = []
    for attempt in view.attempts:
        if keep is not None and attempt.number == keep.number:
            continue
        if attempt.worker_pods:
            # SIGTERM, then at once SIGKILL: their scheduler is gone, they have nothing to save. Of pods that have ended
            # only the objects are left: with a grace the kubelet would take 2 s more to remove those.
            grace_s = 1 if attempt.live_workers or attempt.lingering_workers else 0
            actions.append(DeleteWorkers(view.run.metadata.name, attempt.number, grace_s))
        actions += [Delete("TaskCluster", c.object_name, c.uid) for c in attempt.clusters if not c.deleting]
    return actions


def _stop_all(view: RunView, *, keep_ended: bool, kept: AttemptView | None = None) -> list[Action]:
    """Stop drivers and remove the rest.

    Args:
        view: The run.
        keep_ended: Spare the Job of a driver that has ended, for its log.
        kept: The attempt whose clusters stay, and so the Job that owns them: its driver is stopped alone.
    """
    stops: list[Action] = []
    for attempt in view.attempts:
        job, driver = attempt.job, attempt.driver
        if job is None or job.finished or job.deleting or (keep_ended and driver is not None and driver.ended):
            continue
        if kept is not None and kept.number == attempt.number and driver is not None:
            stops += [] if driver.deleting else [Delete("Pod", driver.name, driver.uid)]
        else:
            stops.append(Delete("Job", job.name, job.uid))
    return [*stops, *remove(view, keep=kept)]


def _hold(view: RunView, verdict: Hold, now: datetime) -> Plan:
    # First the record: to an operator that starts in between a Job that has gone was never made.
    unrecorded = _unrecorded(view)
    stops = [] if unrecorded else _stop_all(view, keep_ended=False)
    status = run_status.held(view, verdict, now)
    # An attempt that is still being started when it is held goes on with what it has.
    ending = status.attempts and status.attempts != view.run.status.attempts
    actions = (*stops, *(_strip(view) if ending else informed.actions(view, now)))
    after = 0.0 if unrecorded else informed.check_after_s(view, now)
    return Plan(actions=actions, status=status, final=unrecorded or bool(stops), requeue_after_s=after)


def _strip(view: RunView) -> list[Action]:
    """Take from the attempt what it had for itself.

    Nobody watches these objects, so each delete is a request, whether or not there is anything left: it is asked for
    only until the attempt's end is recorded, which is done when these deletes have succeeded.
    """
    number = view.current.number if view.current else 0
    # Before the first attempt and after a closed one it is the next one that was about to start.
    if number == 0 or any(a.number == number and a.completion_time is not None for a in view.run.status.attempts):
        number += 1
    return [Delete(kind, name) for kind, name in belonging_names(view.run, number, view.defaults)]


def _finish(view: RunView, verdict: Finish, now: datetime) -> Plan:
    """Write the result and remove clusters and workers.

    A driver to be stopped goes with the next decision (`Settle`), when the result is written: after a crash in between
    its missing Job would look like one deleted by hand (F01).
    """
    keep = kept_at_end(view, verdict.outcome)
    return Plan(
        first=(tuple(_announcement(view, verdict)),),
        actions=(*remove(view, keep=keep), *_strip(view)),
        status=run_status.finished(view, verdict.outcome, now),
        final=True,
        requeue_after_s=0,
    )


def _announcement(view: RunView, verdict: Finish) -> list[Action]:
    """Let Prefect know of a cancellation first: then the driver, and tasks that break off, end as Cancelled."""
    url, driver = view.prefect_api_url, view.current.driver if view.current else None
    cancels = verdict.stop_driver and verdict.outcome.type is ResultType.CANCELLED
    if not cancels or not url or driver is None or not driver.running or informed.has_own_key(view):
        return []
    return [AnnounceCancel(url)]


def _start(view: RunView, verdict: StartAttempt, now: datetime) -> Plan:
    actions: list[Action] = remove(view, keep=None)
    first: tuple[tuple[Action, ...], ...] = ()
    if verdict.wait_s == 0:
        uid = view.run.metadata.uid
        first = tuple(
            tuple(Create(own, uid) for own in stage)
            for stage in belongings(view.run, verdict.number, view.defaults)
            if stage
        )
        if informed.owes_waiting(view):
            actions.append(DropReport())
        actions.append(Create(driver_job(view.run, verdict.number, view.defaults, left_s(view, now)), uid))
    else:
        actions += informed.actions(view, now)
    return Plan(
        actions=tuple(actions),
        first=first,
        status=run_status.starting(view, verdict, now),
        # What a finished attempt had for itself would be made anew, and nobody would take it away again.
        fresh=bool(first),
        takes=need(view) if view.room and view.room.left and not verdict.wait_s else {},
        requeue_after_s=verdict.wait_s or 2.0,
    )


def _missing_clusters(view: RunView) -> list[Action]:
    current = view.current
    if current is None or current.job is None or current.job.deleting or current.job.finished:
        return []
    existing = {c.name for c in current.clusters}
    return [
        Create(task_cluster(view.run, current.number, current.job.uid, index, view.defaults), current.job.uid)
        for index, cluster in enumerate(view.run.spec.clusters)
        if cluster.name not in existing
    ]


def _questions(view: RunView, now: datetime) -> list[Action]:
    """Ask for what no watch tells: why a pod is not there or silent, and the run's record in Prefect."""
    current = view.current
    if current is not None and current.job is None:
        return [Confirm(attempt_name(view.run.metadata.name, current.number))]
    if current is None or current.job is None or current.job.created_at is None:
        return []
    age_s = (now - current.job.created_at).total_seconds()
    driver = current.driver
    actions: list[Action] = []
    if driver is None and current.job.failure is not None and not current.pod_gone:
        actions.append(ConfirmPod(view.run.metadata.name, current.number, current.job.name))
    if (driver is None or driver.silent) and age_s >= EXPLAIN_AFTER_S:
        actions.append(Explain(driver.uid if driver else current.job.uid))
    api_url = view.prefect_api_url
    if driver is not None and driver.running and view.flow_run is None and age_s >= _LOOK_UP_AFTER_S and api_url:
        actions.append(LookUpFlowRun(current.number, api_url))
    return actions
