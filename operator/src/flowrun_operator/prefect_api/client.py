"""Find an attempt's flow run and tell its end where the driver could not.

A flow run is found by the idempotency key under which the driver created it. Nothing here may hold up a teardown: the
callers treat every failure as something to try again later.
"""

from __future__ import annotations

from typing import Any

import aiohttp

from flowrun_operator.api.flowrun import PrefectFlowRun

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_UNFINISHED = ["PENDING", "RUNNING", "SCHEDULED", "PAUSED", "CANCELLING"]
_PAGE = 200


class PrefectApi:
    """Requests to Prefect servers.

    Args:
        api_key: Key for the default server, if it wants one.
    """

    def __init__(self, default_url: str | None, api_key: str | None) -> None:
        self._default_url = default_url
        self._api_key = api_key
        self._session: aiohttp.ClientSession | None = None

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
        run = await self._find(api_url, key)
        return PrefectFlowRun(id=run["id"], name=run.get("name"), state=run.get("state_name")) if run else None

    async def _find(self, api_url: str, key: str) -> dict[str, Any] | None:
        body = {"flow_runs": {"idempotency_key": {"any_": [key]}}, "limit": 1}
        found = await self._post(api_url, "/flow_runs/filter", body)
        return dict(found[0]) if found else None

    async def report_end(self, api_url: str, key: str, state_type: str, message: str) -> None:
        """Set the flow run's final state unless it has one, and that of its unfinished task runs.

        Args:
            api_url: The server's URL, ending in /api.
            key: The idempotency key of the flow run.
            state_type: CRASHED, CANCELLED or FAILED.
            message: Shown in Prefect.

        Raises:
            aiohttp.ClientError: The server was not reached or refused.
        """
        run = await self._find(api_url, key)
        if run is None:
            return
        state = {"type": state_type, "name": state_type.capitalize(), "message": message}
        if run.get("state_type") not in _FINAL:
            await self._post(api_url, f"/flow_runs/{run['id']}/set_state", {"state": state, "force": True})
        await self._end_task_runs(api_url, run["id"], state)

    async def _end_task_runs(self, api_url: str, flow_run_id: str, state: dict[str, Any]) -> None:
        # Prefect itself never ends the task runs of a crashed flow run: they would stay Running for ever.
        body = {
            "flow_runs": {"id": {"any_": [flow_run_id]}},
            "task_runs": {"state": {"type": {"any_": _UNFINISHED}}},
            "limit": _PAGE,
        }
        while tasks := await self._post(api_url, "/task_runs/filter", body):
            for task in tasks:
                await self._post(api_url, f"/task_runs/{task['id']}/set_state", {"state": state, "force": True})
            if len(tasks) < _PAGE:
                return

    async def _post(self, api_url: str, path: str, body: dict[str, Any]) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        # The operator's key is for its own server only, not for one that a run names.
        own = api_url == self._default_url and self._api_key
        headers = {"Authorization": f"Bearer {self._api_key}"} if own else {}
        async with self._session.post(api_url.rstrip("/") + path, json=body, headers=headers) as response:
            response.raise_for_status()
            return await response.json()
