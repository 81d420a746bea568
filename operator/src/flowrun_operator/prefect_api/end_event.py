"""The end of a task run as an event, for Prefect's own recorder of task runs.

Prefect learns what task runs do from events, and writes them some time later: a server behind by seconds still has
"Completed" in its queue when it is asked what is unfinished. A state that is set over the API counts from that moment,
so it would win against an end that came before it. The recorder goes by the time in the event instead. So the end that
we tell is dated just behind the last state that is known: what really happened after that, and arrives later, wins.

`prefect_flowrun/records/end_event.py` is the same for drivers and for runs with a key of their own: keep the two alike.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

PAGE = 200
# What the recorder needs to make the row if it does not know it, and what it would else forget.
_KEPT = (
    *("name", "task_key", "dynamic_key", "task_version", "cache_key", "tags", "labels", "task_inputs"),
    *("empirical_policy", "run_count", "flow_run_run_count", "expected_start_time", "start_time", "total_run_time"),
)
_NEXT = timedelta(microseconds=1)


def end_event(task_run: dict[str, Any], state_type: str, message: str, now: datetime | None = None) -> dict[str, Any]:
    """Return the event.

    Args:
        task_run: as Prefect's API gives it.
        state_type: CRASHED, CANCELLED, FAILED or COMPLETED.
        message: shown in Prefect.
        now: time of the end where Prefect knows no state; None means this moment.
    """
    name, now = state_type.capitalize(), now or datetime.now(UTC)
    occurred = _after(task_run) or now
    kept = {key: task_run[key] for key in _KEPT if task_run.get(key) is not None}
    return {
        "id": str(uuid4()),
        "occurred": occurred.isoformat(),
        "event": f"prefect.task-run.{name}",
        "resource": {
            "prefect.resource.id": f"prefect.task-run.{task_run['id']}",
            "prefect.resource.name": str(task_run.get("name") or ""),
            "prefect.state-type": state_type,
            "prefect.state-name": name,
            "prefect.state-message": message,
            "prefect.state-timestamp": occurred.isoformat(),
            # What the recorder goes by.
            "prefect.orchestration": "client",
        },
        "related": _flow_run(task_run),
        "payload": {
            "intended": {"from": task_run.get("state_type"), "to": state_type},
            "initial_state": None,
            "validated_state": {"type": state_type, "name": name, "message": message, "state_details": {}},
            "task_run": {**kept, "end_time": max(now, occurred).isoformat()},
        },
    }


def _after(task_run: dict[str, Any]) -> datetime | None:
    known = (task_run.get("state") or {}).get("timestamp")
    return datetime.fromisoformat(known) + _NEXT if known else None


def _flow_run(task_run: dict[str, Any]) -> list[dict[str, str]]:
    if not (flow_run := task_run.get("flow_run_id")):
        return []
    return [{"prefect.resource.id": f"prefect.flow-run.{flow_run}", "prefect.resource.role": "flow-run"}]
