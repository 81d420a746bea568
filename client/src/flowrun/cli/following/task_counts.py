"""How many task runs of a flow run are in which state, asked of Prefect where the user's environment names it."""

from __future__ import annotations

import base64
import json
import threading
import urllib.request
from collections.abc import Mapping
from typing import Any

_POLL_S = 2.0
_TIMEOUT_S = 5.0
_STATES = ("Pending", "Running", "Completed", "Failed", "Crashed", "Cancelled")


class TaskCounts:
    """Counts that are renewed in the background; none while Prefect is not known or does not answer.

    Args:
        env: with Prefect's settings, PREFECT_API_URL first of all; usually `os.environ`.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self.latest: dict[str, int] = {}
        self._api_url = env.get("PREFECT_API_URL", "").rstrip("/")
        self._headers = {"Content-Type": "application/json", **_authorization(env)}
        self._started = False

    def of(self, flow_run_id: str) -> dict[str, int]:
        """Return how many task runs are in which of Prefect's states, as far as that is known yet.

        Args:
            flow_run_id: in Prefect; empty before there is one.
        """
        if flow_run_id and self._api_url.startswith(("http://", "https://")) and not self._started:
            self._started = True
            threading.Thread(target=self._renew, args=(flow_run_id,), daemon=True).start()
        return self.latest

    def _renew(self, flow_run_id: str) -> None:
        while True:
            try:
                self.latest = {state: self._count(flow_run_id, state) for state in _STATES}
            except (OSError, ValueError):
                self.latest = {}
            threading.Event().wait(_POLL_S)

    def _count(self, flow_run_id: str, state: str) -> int:
        body: dict[str, Any] = {
            "flow_runs": {"id": {"any_": [flow_run_id]}},
            "task_runs": {"state": {"type": {"any_": [state.upper()]}}},
        }
        url = f"{self._api_url}/task_runs/count"
        request = urllib.request.Request(url, json.dumps(body).encode(), self._headers, method="POST")  # noqa: S310
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 - http(s), see `of`
            return int(json.loads(response.read()))


def _authorization(env: Mapping[str, str]) -> dict[str, str]:
    if key := env.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    if login := env.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    return {}
