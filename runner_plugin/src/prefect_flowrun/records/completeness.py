"""At a flow's end: has Prefect recorded the end of every task run that the driver saw end?

A server that is behind records late, and one whose queue was full has dropped events. Nobody waits for a server that
keeps up; for one that is behind as long as it gets on, within a limit, and then what is missing is set by hand.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client

from prefect_flowrun.records import task_run

if TYPE_CHECKING:
    import logging

    from prefect.client.schemas.objects import FlowRun, State
    from prefect.tasks import Task

# The bundled server records within a second or two.
KEEPS_UP_S = 2.0
# As long as it gets on, and without any progress. Workers send again after 5 s without.
WAIT_S, PATIENCE_S = 60.0, 15.0
REPAIR_S = 30.0
_LOOK_S = 0.5
_QUESTION = 500
_PAGE = 200
_PARALLEL = 8
# Of a flow with more only the last are looked at.
_REMEMBERED = 20_000
_REQUEST_TIMEOUT_S = 15.0
_FINAL = {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]}}
_NOT_READY = {"name": {"any_": ["NotReady"]}}

States = Callable[["Mapping[UUID, Task[..., Any]]"], "Mapping[UUID, State[Any]]"]
Count = Callable[[list[UUID]], int]


@dataclass(frozen=True)
class _End:
    at: float
    task_run_id: UUID
    task: Task[..., Any]


@dataclass
class Ends:
    """The task runs of one flow run whose end the driver has seen."""

    _ends: deque[_End] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def add(self, task_run_id: UUID, task: Task[..., Any]) -> None:
        """Note an end.

        Args:
            task_run_id: the task run.
            task: what it ran.
        """
        self._ends.append(_End(time.monotonic(), task_run_id, task))

    def see_recorded(
        self, flow_run: FlowRun, states: States, logger: logging.Logger | logging.LoggerAdapter[Any]
    ) -> None:
        """Wait for a server that is behind, set what it has lost, and say what is missing then.

        Args:
            flow_run: that the task runs belong to.
            states: returns the final states that the driver can have, of some task runs.
            logger: of the flow run.
        """
        ends = list(self._ends)
        due = [each.task_run_id for each in ends if each.at < time.monotonic() - KEEPS_UP_S]
        if not due:
            return
        try:
            client = get_client(sync_client=True, httpx_settings={"timeout": _REQUEST_TIMEOUT_S})
            missing = unrecorded(due, lambda ids: _count_of(client, ids))
            if not missing:
                return
            logger.info(
                "Prefect's server is behind: waiting until it has recorded the end of %d task run(s)", len(missing)
            )
            missing = wait_for(missing, lambda ids: _count_of(client, ids))
            lost = {run for group in missing for run in _not_recorded(client, group)}
            if lost:
                repaired = _repair(client, [each for each in ends if each.task_run_id in lost], flow_run, states)
                _say(logger, len(lost), repaired)
        except (httpx.HTTPError, RuntimeError) as error:
            logger.warning("Prefect could not be asked whether it has recorded all task runs: %r", error)


def unrecorded(ids: Iterable[UUID], count: Count) -> list[list[UUID]]:
    """Return groups of ids in which some are not recorded.

    Args:
        ids: of task runs that have ended.
        count: says how many of some the server knows to have ended.
    """
    every = list(ids)
    groups = [every[start : start + _QUESTION] for start in range(0, len(every), _QUESTION)]
    return [group for group in groups if count(group) < len(group)]


def wait_for(
    groups: list[list[UUID]],
    count: Count,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[list[UUID]]:
    """Wait until all are recorded, as long as the server gets on.

    Args:
        groups: of task runs that have ended.
        count: says how many of some the server knows to have ended.
        clock: in seconds.
        sleep: for so many seconds.

    Returns:
        The groups in which some are not recorded then.
    """
    deadline, progress_at, known = clock() + WAIT_S, clock(), -1
    while groups and clock() < min(deadline, progress_at + PATIENCE_S):
        counts = [count(group) for group in groups]
        left = sum(map(len, groups)) - sum(counts)
        if known < 0 or left < known:
            known, progress_at = left, clock()
        groups = [group for group, recorded in zip(groups, counts, strict=True) if recorded < len(group)]
        if groups:
            sleep(_LOOK_S)
    return groups


def _repair(client: SyncPrefectClient, ends: list[_End], flow_run: FlowRun, states: States) -> int:
    """Set the states that are known; return how many were set in time."""
    have = states({each.task_run_id: each.task for each in ends})
    known = [(each, have[each.task_run_id]) for each in ends if each.task_run_id in have]
    pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="flowrun-repair")
    try:
        futures = [
            pool.submit(task_run.record, client, each.task, each.task_run_id, flow_run, state) for each, state in known
        ]
        done, _ = wait(futures, timeout=REPAIR_S)
        return sum(future.exception() is None for future in done)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _say(logger: logging.Logger | logging.LoggerAdapter[Any], lost: int, repaired: int) -> None:
    logger.warning(
        "Prefect's server had not recorded the end of %d task run(s): it is behind, or has dropped events. %d were set "
        "by hand, %d stay as they are. Their results are not concerned.",
        lost,
        repaired,
        lost - repaired,
    )


def _not_recorded(client: SyncPrefectClient, ids: list[UUID]) -> set[UUID]:
    left = set(ids)
    for state in (_FINAL, _NOT_READY):
        body = {"task_runs": {"id": {"any_": [str(each) for each in ids]}, "state": state}, "limit": _PAGE}
        offset = 0
        while page := _ask(client, "/task_runs/filter", {**body, "offset": offset}):
            left.difference_update(UUID(run["id"]) for run in page)
            offset += len(page)
    return left


def _count_of(client: SyncPrefectClient, ids: list[UUID]) -> int:
    """Count those that have ended, which may be as Pending: one whose upstream failed never ran."""
    one_of = {"any_": [str(each) for each in ids]}
    ended = _count(client, {"task_runs": {"id": one_of, "state": _FINAL}})
    return ended if ended == len(ids) else ended + _count(client, {"task_runs": {"id": one_of, "state": _NOT_READY}})


def _count(client: SyncPrefectClient, body: dict[str, Any]) -> int:
    return int(_ask(client, "/task_runs/count", body))


def _ask(client: SyncPrefectClient, path: Any, body: dict[str, Any]) -> Any:
    response = client.request("POST", path, json=body)
    response.raise_for_status()
    return response.json()
