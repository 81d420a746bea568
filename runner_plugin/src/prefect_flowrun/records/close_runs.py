"""Set the end of a flow run, and of all that it has left unfinished, from outside.

Prefect never ends the task runs and subflow runs of a crashed flow run: they would stay Running for ever. Speaks to
Prefect's REST API through a function, so that the driver and the reporter use it with their own clients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prefect_flowrun.records.ownership import owner_of

Post = Callable[[str, dict[str, Any]], Any]
"""Sends a POST request with a JSON body to a path of the API, and returns the JSON of the answer."""

FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
UNFINISHED = ["PENDING", "RUNNING", "SCHEDULED", "PAUSED", "CANCELLING"]
AWAITING_RETRY = "AWAITING_RETRY"
REPORTS = ("CRASHED", "CANCELLED", "FAILED", AWAITING_RETRY)
_PAGE = 200


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
    # What an attempt has left does not await a retry: the next attempt begins task runs of its own.
    end = "CANCELLED" if "CANCELLED" in (current, settled) else reported.replace(AWAITING_RETRY, "CRASHED")
    end_what_is_left(post, run["id"], end, message)
    return True


def end_what_is_left(post: Post, flow_run_id: str, state_type: str, message: str) -> None:
    """Set the state of a flow run's unfinished task runs and subflow runs, and of theirs.

    Args:
        post: of the Prefect API.
        flow_run_id: the flow run, which keeps its own state.
        state_type: CRASHED, CANCELLED or FAILED.
        message: shown in Prefect.
    """
    state = _state(state_type, message)
    todo = [[flow_run_id]]
    while todo:
        parents = todo.pop()
        for task_run in _unfinished_task_runs(post, parents):
            _set(post, "task_runs", task_run, state)
        for page in _subflow_runs(post, parents):
            for subflow in page:
                if subflow["state_type"] not in FINAL:
                    _set(post, "flow_runs", subflow["id"], state)
            todo.append([subflow["id"] for subflow in page])


def _unfinished_task_runs(post: Post, flow_runs: list[str]) -> Iterator[str]:
    body = {
        "flow_runs": {"id": {"any_": flow_runs}},
        "task_runs": {"state": {"type": {"any_": UNFINISHED}}},
        "limit": _PAGE,
    }
    seen: set[str] = set()
    # Those that have been ended are no more in the next page, so it is always the first.
    while new := [run["id"] for run in post("/task_runs/filter", body) if run["id"] not in seen]:
        yield from new
        seen.update(new)


def _subflow_runs(post: Post, flow_runs: list[str]) -> Iterator[list[dict[str, Any]]]:
    body = {"flow_runs": {"parent_flow_run_id": {"any_": flow_runs}}, "sort": "ID_DESC", "limit": _PAGE}
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
