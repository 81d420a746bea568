"""Find a run's flow run and tell Prefect what its driver could not.

A flow run is found by the idempotency key under which the first driver created it. Nothing here may hold up a teardown:
the callers treat every failure as something to try again later. Everything may be said twice.

`prefect_flowrun/records/close_runs.py` does the same with a run's own key: keep the two alike.

States of flow runs are set by force, past Prefect's rules: those would refuse to let a Crashed run wait for another
attempt (it has no deployment), or to end one as Cancelled that its own engine has set Crashed on SIGTERM.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp

from flowrun_api.constants import LABEL_ATTEMPT
from flowrun_api.kinds.flowrun import PrefectFlowRun
from flowrun_operator.prefect_api.end_event import PAGE, end_event

State = dict[str, Any]

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_CANCELLED = {"CANCELLING", "CANCELLED"}
# What we know better: Crashed is what Prefect's engine makes of every end by SIGTERM.
_BETTER = {"COMPLETED", "CANCELLED", "FAILED"}
_UNFINISHED = ["PENDING", "RUNNING", "SCHEDULED", "PAUSED", "CANCELLING"]
_UNTOLD = "Its end did not reach Prefect: an attempt of the run was lost, or its server was away"
_NO_CONTENT = 204
# A server that is behind gets some seconds to record what it was told.
_PAUSES_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
# One, but for an entrypoint that could not be loaded by a later attempt: its flow has another name.
_SAME_KEY = 10


class PrefectApi:
    """Requests to Prefect servers.

    Args:
        default_url: The operator's own server.
        api_key: Key for that server, if it wants one.
    """

    def __init__(self, default_url: str | None, api_key: str | None) -> None:
        self._default_url = default_url
        self._api_key = api_key
        self._session: aiohttp.ClientSession | None = None
        self.pauses_s: Sequence[float] = _PAUSES_S
        """Seconds between looks at what has become of task runs that were told of."""

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def find(self, api_url: str, key: str) -> PrefectFlowRun | None:
        """Return the flow run with an idempotency key, or None.

        Args:
            api_url: The server's URL, ending in /api.
            key: The idempotency key.

        Raises:
            aiohttp.ClientError: The server was not reached or refused.
        """
        found = await self._find(api_url, key)
        if not found:
            return None
        run = found[0]
        return PrefectFlowRun(id=run["id"], name=run.get("name"), state=run.get("state_name"))

    async def report_end(self, api_url: str, key: str, attempt: int, state_type: str, message: str) -> None:
        """Set the flow run's final state unless its driver has, and that of its unfinished task runs and subflow runs.

        A cancellation that was asked for in Prefect ends as one.

        Args:
            api_url: The server's URL, ending in /api.
            key: The idempotency key of the flow run.
            attempt: Number of the attempt that has ended. A flow run that a later one has taken over is left alone.
            state_type: COMPLETED, CRASHED, CANCELLED or FAILED. All but CRASHED are set over Crashed too; with
                CANCELLED, also on task runs that crashed since the cancellation. With COMPLETED task runs become
                Crashed: those of an attempt that was lost, or that could not tell Prefect.
            message: Shown in Prefect.

        Raises:
            aiohttp.ClientError: The server was not reached or refused.
        """
        for run in await self._in_hand(api_url, key, attempt):
            before = run.get("state_type")
            state = _state("CANCELLED" if before in _CANCELLED else state_type, message)
            if before not in _FINAL or (before == "CRASHED" and state["type"] in _BETTER):
                await self._set(api_url, "flow_runs", run["id"], state)
            await self._end_what_is_left(api_url, run["id"], _left(state))
            if state["type"] == "CANCELLED":
                await self._cancel_crashed(api_url, run["id"], state)

    async def report_wait(self, api_url: str, key: str, attempt: int, name: str, message: str) -> None:
        """Let the flow run wait for another attempt, and end what the one that was lost has left.

        Args:
            api_url: The server's URL, ending in /api.
            key: The idempotency key of the flow run.
            attempt: Number of the attempt that has ended. A flow run that a later one has taken over is left alone.
            name: Name of a state of type SCHEDULED. Not "Scheduled": Prefect would soon call that one Late.
            message: Shown in Prefect.

        Raises:
            aiohttp.ClientError: The server was not reached or refused.
        """
        for run in await self._in_hand(api_url, key, attempt):
            before = run.get("state_type")
            if before == "CANCELLING":  # asked for in Prefect: the next driver finds it cancelled and runs nothing
                await self._set(api_url, "flow_runs", run["id"], _state("CANCELLED", message))
            elif before == "CRASHED" or before not in _FINAL:
                await self._set(api_url, "flow_runs", run["id"], _state("SCHEDULED", message, name))
            left = "CANCELLED" if before in _CANCELLED else "CRASHED"
            await self._end_what_is_left(api_url, run["id"], _state(left, message))

    async def announce_cancel(self, api_url: str, key: str) -> None:
        """Set the flow run Cancelling, so that its driver ends it as cancelled.

        Args:
            api_url: The server's URL, ending in /api.
            key: The idempotency key of the flow run.

        Raises:
            aiohttp.ClientError: The server was not reached or refused.
        """
        for run in await self._find(api_url, key):
            if run.get("state_type") not in {*_FINAL, "CANCELLING"}:
                await self._set(api_url, "flow_runs", run["id"], _state("CANCELLING", "the run is being cancelled"))

    async def _find(self, api_url: str, key: str) -> list[dict[str, Any]]:
        body = {
            "flow_runs": {"idempotency_key": {"any_": [key]}},
            "sort": "EXPECTED_START_TIME_ASC",
            "limit": _SAME_KEY,
        }
        return list(await self._request("POST", api_url, "/flow_runs/filter", body))

    async def _in_hand(self, api_url: str, key: str, attempt: int) -> list[dict[str, Any]]:
        """Find the flow runs that no attempt after this one has in hand."""
        return [run for run in await self._find(api_url, key) if _owner_of(run.get("labels") or {}) <= attempt]

    async def _set(self, api_url: str, kind: str, id_: str, state: State) -> None:
        await self._request("POST", api_url, f"/{kind}/{id_}/set_state", {"state": state, "force": True})

    async def _cancel_crashed(self, api_url: str, flow_run_id: str, state: State) -> None:
        """Set task runs Cancelled that crashed because the run was stopped: since then, or in the last attempt."""
        history = await self._request("GET", api_url, f"/flow_run_states/?flow_run_id={flow_run_id}")
        times = {type_: max((s["timestamp"] for s in history if s["type"] == type_), default="") for type_ in _STOPS}
        since = next((times[type_] for type_ in _STOPS if times[type_]), "")
        if since:
            chosen = {"state": {"type": {"any_": ["CRASHED"]}}, "end_time": {"after_": since}}
            await self._end_task_runs(api_url, [flow_run_id], state, chosen)

    async def _end_what_is_left(self, api_url: str, flow_run_id: str, state: State) -> None:
        """End the unfinished task runs and subflow runs of a flow run, and theirs.

        Prefect itself never ends those of a crashed flow run: they would stay Running for ever. Task runs get an end
        that gives way to a later one still on its way to Prefect, see `end_event`; what has none after some seconds is
        set by force.
        """
        told: set[tuple[str, str | None]] = set()
        for pause_s in self.pauses_s:
            flow_runs, left = await self._unfinished(api_url, flow_run_id)
            for flow_run in flow_runs:
                await self._set(api_url, "flow_runs", flow_run, state)
            if not left:
                return
            # Again, if an event of its own has moved it on meanwhile.
            new = [task for task in left if _known(task) not in told]
            told.update(map(_known, new))
            for at in range(0, len(new), PAGE):
                events = [end_event(task, state["type"], state["message"]) for task in new[at : at + PAGE]]
                await self._request("POST", api_url, "/events", events)
            await asyncio.sleep(pause_s)
        for task in (await self._unfinished(api_url, flow_run_id))[1]:
            await self._set(api_url, "task_runs", task["id"], state)

    async def _unfinished(self, api_url: str, flow_run_id: str) -> tuple[list[str], list[dict[str, Any]]]:
        """Find unfinished subflow runs, by id, and task runs at whatever depth."""
        flow_runs: list[str] = []
        tasks: dict[str, dict[str, Any]] = {}
        todo = [[flow_run_id]]
        while todo:
            parents = todo.pop()
            tasks |= {task["id"]: task for task in await self._unfinished_task_runs(api_url, parents)}
            async for page in self._subflow_runs(api_url, parents):
                flow_runs += [subflow["id"] for subflow in page if subflow["state_type"] not in _FINAL]
                todo.append([subflow["id"] for subflow in page])
        return flow_runs, list(tasks.values())

    async def _unfinished_task_runs(self, api_url: str, flow_runs: list[str]) -> list[dict[str, Any]]:
        chosen = {"state": {"type": {"any_": _UNFINISHED}}}
        body = {"flow_runs": {"id": {"any_": flow_runs}}, "task_runs": chosen, "sort": "ID_DESC", "limit": PAGE}
        found: list[dict[str, Any]] = []
        while page := await self._request("POST", api_url, "/task_runs/filter", {**body, "offset": len(found)}):
            found += page
            if len(page) < PAGE:
                break
        return found

    async def _subflow_runs(self, api_url: str, parents: list[str]) -> AsyncIterator[list[dict[str, Any]]]:
        body = {"flow_runs": {"parent_flow_run_id": {"any_": parents}}, "sort": "ID_DESC", "limit": PAGE}
        offset = 0
        while page := await self._request("POST", api_url, "/flow_runs/filter", {**body, "offset": offset}):
            yield page
            offset += len(page)

    async def _end_task_runs(self, api_url: str, flow_runs: list[str], state: State, chosen: dict[str, Any]) -> None:
        body = {"flow_runs": {"id": {"any_": flow_runs}}, "task_runs": chosen, "limit": PAGE}
        while tasks := await self._request("POST", api_url, "/task_runs/filter", body):
            for task in tasks:
                await self._set(api_url, "task_runs", task["id"], state)
            if len(tasks) < PAGE:
                return

    async def _request(self, method: str, api_url: str, path: str, body: Any = None) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        # The operator's key is for its own server only, not for one that a run names.
        own = api_url == self._default_url and self._api_key
        headers = {"Authorization": f"Bearer {self._api_key}"} if own else {}
        url = api_url.rstrip("/") + path
        async with self._session.request(method, url, json=body, headers=headers) as response:
            response.raise_for_status()
            return await response.json() if response.status != _NO_CONTENT else None


# The state since which a task run's crash is the cancellation's, the surest first.
_STOPS = ("CANCELLING", "RUNNING")


def _state(type_: str, message: str, name: str | None = None) -> State:
    return {"type": type_, "name": name or type_.capitalize(), "message": message}


def _left(state: State) -> State:
    """Return the state of what is unfinished when the flow run ends in this one."""
    return _state("CRASHED", _UNTOLD) if state["type"] == "COMPLETED" else state


def _known(task_run: Mapping[str, Any]) -> tuple[str, str | None]:
    return task_run["id"], (task_run.get("state") or {}).get("id")


def _owner_of(labels: Mapping[str, Any]) -> int:
    """Return the number of the attempt that has a flow run in hand; 0 if nobody said so."""
    number = str(labels.get(LABEL_ATTEMPT, ""))
    return int(number) if number.isdecimal() else 0
