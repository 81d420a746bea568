"""Sidecars of drivers and workers that have ended."""

from dataclasses import replace

import pytest
from operator_testing.builders import (
    NOW,
    a_pod,
    a_run,
    a_view,
    an_attempt,
    attempt_status,
    ended_pod,
    finished_status,
    message,
)

from flowrun_operator.decide import decide_run
from flowrun_operator.decide.plan import Delete, DeleteWorkers, EndSidecars

LINGERS = ended_pod(message(), phase="Running", lingers=True)
WORKER = ended_pod(name="etl-1-default-w-0", uid="w-0", phase="Running", lingers=True)
FINISHED = a_run(status=finished_status())
KEEPS = a_run({"deletionPolicy": {"type": "KeepOnFailure"}}, finished_status(state="Failed"))
RETRIES = {"retryPolicy": {"maxInfrastructureRetries": 1}}
SECOND = a_run(RETRIES, {"attempts": [attempt_status(1, ended=True), attempt_status(2)]})
DRIVER, OF_WORKER = EndSidecars("etl-1-abcde", "pod-1"), EndSidecars("etl-1-default-w-0", "w-0")

# name, view, whose sidecars are ended
TABLE = [
    ("the result is not in the status yet", a_view(an_attempt(driver=LINGERS)), []),
    ("it is", a_view(an_attempt(driver=LINGERS), run=FINISHED), [DRIVER]),
    ("no sidecar", a_view(an_attempt(driver=ended_pod(message())), run=FINISHED), []),
    ("told before", a_view(an_attempt(driver=replace(LINGERS, overdue=True)), run=FINISHED), []),
    ("the pod goes anyway", a_view(an_attempt(driver=replace(LINGERS, deleting=True)), run=FINISHED), []),
    (
        "an attempt before the one that runs",
        a_view(an_attempt(1, driver=LINGERS), an_attempt(2, driver=a_pod(name="etl-2-x")), run=SECOND),
        [DRIVER],
    ),
    (
        "workers that are kept for debugging",
        a_view(an_attempt(driver=LINGERS, live_workers=0, lingering_workers=(WORKER,)), run=KEEPS),
        [DRIVER, OF_WORKER],
    ),
    (
        "the report that did not get through",
        a_view(run=FINISHED, report_pod=ended_pod("", 1, name="report", uid="r", phase="Running", lingers=True)),
        [EndSidecars("report", "r")],
    ),
]


@pytest.mark.parametrize(("view", "ended"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_sidecar_table(view, ended):
    actions = decide_run(view, NOW).actions
    assert [a for a in actions if isinstance(a, EndSidecars)] == ended


def test_the_job_of_a_driver_that_ended_is_kept_for_its_log_sidecar_or_not():
    actions = decide_run(a_view(an_attempt(driver=LINGERS), run=FINISHED), NOW).actions
    assert not [a for a in actions if isinstance(a, Delete) and a.kind in {"Job", "Pod"}]


@pytest.mark.parametrize(("lingering", "grace_s"), [((WORKER,), 1), ((), 0)])
def test_workers_that_ended_are_deleted_with_a_grace_where_a_sidecar_runs(lingering, grace_s):
    # Without one the API server forgets the pod at once, and nobody sees whether its containers end.
    view = a_view(an_attempt(driver=LINGERS, live_workers=0, lingering_workers=lingering), run=FINISHED)
    (delete,) = [a for a in decide_run(view, NOW).actions if isinstance(a, DeleteWorkers)]
    assert delete.grace_s == grace_s
