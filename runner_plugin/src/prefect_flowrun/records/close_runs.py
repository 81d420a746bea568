"""Set the end of a flow run, and of all that it has left unfinished, from outside.

Prefect never ends the task runs and subflow runs of a crashed flow run: they would stay Running for ever. Speaks to
Prefect's REST API through a function, so that the driver and the reporter use it with their own clients.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

from prefect_flowrun.records.end_event import PAGE, end_event
from prefect_flowrun.records.ownership import owner_of

Post = Callable[[str, Any], Any]
"""Sends a POST request with a JSON body to a path of the API, and returns the JSON of the answer, None without."""

FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
UNFINISHED = ["PENDING", "RUNNING", "SCHEDULED", "PAUSED", "CANCELLING"]
AWAITING_RETRY = "AWAITING_RETRY"
REPORTS = ("COMPLETED", "CRASHED", "CANCELLED", "FAILED", AWAITING_RETRY)
_LEFT = {AWAITING_RETRY: "CRASHED", "COMPLETED": "CRASHED"}
UNTOLD = "Its end did not reach Prefect: an attempt of the run was lost, or its server was away"
# A server that is behind gets some seconds to record what it was told.
PAUSES_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


def settle(current: str, reported: str) -> str | None:
    """Decide the state that a flow run gets; None leaves it as it is.

    Args:
        current: its state type.
        reported: one of `REPORTS`.
    """
    if current == "CANCELLING":
        return "CANCELLED"  # a user has asked for it, however the driver came to its end
    # Crashed is what Prefect's engine makes of every SIGTERM; who has sent it knows better.
    return reported if current not in FINAL or (current == "CRASHED" and reported != "CRASHED") else None


def find(post: Post, key: str) -> dict[str, Any] | None:
    """Find a flow run by its idempotency key.

    Args:
        post: of the Prefect API.
        key: the key under which the driver has created it.
    """
    found = post("/flow_runs/filter", {"flow_runs": {"idempotency_key": {"any_": [key]}}, "limit": 1})
    return dict(found[0]) if found else None


def report(post: Post, key: str, attempt: int | None, reported: str, message: str) -> bool:
    """Report the end of an attempt whose driver could not.

    Args:
        post: of the Prefect API.
        key: idempotency key of the flow run.
        attempt: number of the attempt; a flow run that a later one has taken over is none of its business. None
            means the latest.
        reported: one of `REPORTS`.
        message: shown in Prefect.

    Returns:
        Whether there was anything to report to.
    """
    run = find(post, key)
    if run is None or (attempt is not None and owner_of(run.get("labels") or {}) > attempt):
        return False
    current = str(run["state_type"])
    settled = settle(current, reported)
    if settled is not None:
        _set(post, "flow_runs", run["id"], _state(settled, message))
    # What an attempt has left does not await a retry: the next attempt begins task runs of its own. Nor has it
    # completed: its end has not reached Prefect.
    end = "CANCELLED" if "CANCELLED" in (current, settled) else _LEFT.get(reported, reported)
    end_what_is_left(post, run["id"], end, message or UNTOLD, PAUSES_S)
    return True


def end_what_is_left(
    post: Post, flow_run_id: str, state_type: str, message: str, pauses_s: Sequence[float] = ()
) -> None:
    """End a flow run's unfinished task runs and subflow runs, and theirs.

    Task runs get an end that gives way to a later one still on its way to Prefect; see `end_event`.

    Args:
        post: of the Prefect API.
        flow_run_id: the flow run, which keeps its own state.
        state_type: CRASHED, CANCELLED or FAILED.
        message: shown in Prefect.
        pauses_s: seconds between looks at what has become of them; what is unfinished after the last is set by force.
            None are for those in a hurry: then they are only told.
    """
    told: set[tuple[str, str | None]] = set()
    for pause_s in pauses_s or (0,):
        flow_runs, left = _unfinished(post, flow_run_id)
        for flow_run in flow_runs:
            _set(post, "flow_runs", flow_run, _state(state_type, message))
        if not left:
            return
        # Again, if an event of its own has moved it on meanwhile.
        new = [run for run in left if _known(run) not in told]
        told.update(map(_known, new))
        for at in range(0, len(new), PAGE):
            post("/events", [end_event(run, state_type, message) for run in new[at : at + PAGE]])
        time.sleep(pause_s)
    if pauses_s:
        for run in _unfinished(post, flow_run_id)[1]:
            _set(post, "task_runs", run["id"], _state(state_type, message))


def end_given_up(
    post: Post, flow_run_id: str, given_up: Mapping[str, dict[str, Any]], running: Container[str], message: str
) -> None:
    """Set Cancelled what a flow has given up: task runs that Prefect takes to be going on, or has not heard of.

    Those that never began have no record and get none; an end of their own that is on its way counts.

    Args:
        post: of the Prefect API.
        flow_run_id: the flow run.
        given_up: by id, each task run as Prefect would give it if it knew it.
        running: ids of those that workers have begun.
        message: shown in Prefect.
    """
    known = {run["id"]: run for run in _unfinished_task_runs(post, [flow_run_id])}
    begun = [known.get(id_, run) for id_, run in given_up.items() if id_ in known or id_ in running]
    for at in range(0, len(begun), PAGE):
        post("/events", [end_event(run, "CANCELLED", message) for run in begun[at : at + PAGE]])


def _known(task_run: dict[str, Any]) -> tuple[str, str | None]:
    return task_run["id"], (task_run.get("state") or {}).get("id")


def _unfinished(post: Post, flow_run_id: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Find unfinished subflow runs, by id, and task runs at whatever depth."""
    flow_runs: list[str] = []
    task_runs: dict[str, dict[str, Any]] = {}
    todo = [[flow_run_id]]
    while todo:
        parents = todo.pop()
        task_runs |= {run["id"]: run for run in _unfinished_task_runs(post, parents)}
        for page in _subflow_runs(post, parents):
            flow_runs.extend(subflow["id"] for subflow in page if subflow["state_type"] not in FINAL)
            todo.append([subflow["id"] for subflow in page])
    return flow_runs, list(task_runs.values())


def _unfinished_task_runs(post: Post, flow_runs: list[str]) -> Iterator[dict[str, Any]]:
    body = {
        "flow_runs": {"id": {"any_": flow_runs}},
        "task_runs": {"state": {"type": {"any_": UNFINISHED}}},
        "sort": "ID_DESC",
        "limit": PAGE,
    }
    offset = 0
    while page := post("/task_runs/filter", {**body, "offset": offset}):
        yield from page
        if len(page) < PAGE:
            return
        offset += len(page)


def _subflow_runs(post: Post, flow_runs: list[str]) -> Iterator[list[dict[str, Any]]]:
    body = {"flow_runs": {"parent_flow_run_id": {"any_": flow_runs}}, "sort": "ID_DESC", "limit": PAGE}
    offset = 0
    while page := post("/flow_runs/filter", {**body, "offset": offset}):
        yield page
        offset += len(page)


def _state(state_type: str, message: str) -> dict[str, Any]:
    if state_type == AWAITING_RETRY:
        return {"type": "SCHEDULED", "name": "AwaitingRetry", "message": message}
    return {"type": state_type, "name": state_type.capitalize(), "message": message}


def _set(post: Post, kind: str, run_id: str, state: dict[str, Any]) -> None:
    # By force: the rules of orchestration are for those who run something.
    post(f"/{kind}/{run_id}/set_state", {"state": state, "force": True})
