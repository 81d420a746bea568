"""A limit to how long the end of a flow waits for Prefect.

Prefect's engine offers the final state again and again, for minutes if nobody listens and for much longer if somebody
accepts connections and does not answer. Meanwhile workers are held that have nothing left to do. So the requests of the
engine's client are looked at: from the first that offers a final state a clock runs until one has been answered. What
was offered is the flow's end, whether Prefect has heard it or not.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from flowrun_api import environment
from prefect_flowrun.records import close_runs

# Long enough for a server that is restarted, or that has the events of some ten thousand task runs before it.
LIMIT_S = float(os.environ.get(environment.END_TIMEOUT_SECONDS, "300"))


@dataclass(frozen=True)
class OfferedEnd:
    """A final state that Prefect was offered."""

    type: str
    name: str
    message: str


class EndLimit:
    """The clock of one flow run's end."""

    def __init__(self, flow_run_id: UUID, on_limit: Callable[[], None], limit: float = LIMIT_S) -> None:
        """Begin; the clock does not run yet.

        Args:
            flow_run_id: the run.
            on_limit: called in a thread of its own when the time is over.
            limit: seconds.
        """
        self._path = f"/flow_runs/{flow_run_id}/set_state"
        self._on_limit = on_limit
        self._limit = limit
        self._timer: threading.Timer | None = None
        self._offered: OfferedEnd | None = None

    @property
    def offered(self) -> OfferedEnd | None:
        """The flow's end that Prefect has not recorded; None if there is none."""
        return self._offered

    @property
    def hooks(self) -> dict[str, list[Callable[[Any], Any]]]:
        """Event hooks for an httpx client."""
        return {"request": [self.asked], "response": [self.answered]}

    @property
    def async_hooks(self) -> dict[str, list[Callable[[Any], Any]]]:
        """Event hooks for an async httpx client."""

        async def asked(request: httpx.Request) -> None:
            self.asked(request)

        async def answered(response: httpx.Response) -> None:
            self.answered(response)

        return {"request": [asked], "response": [answered]}

    def asked(self, request: httpx.Request) -> None:
        """Start the clock if a final state is offered; it goes on if that is repeated.

        Args:
            request: about to be sent.
        """
        # The first one counts: what comes after it is the end of the wait, not of the flow.
        if self._timer is None and self._concerns(request) and (offered := _final_state(request)):
            self._offered = offered
            self._timer = threading.Timer(self._limit, self._on_limit)
            self._timer.daemon = True
            self._timer.start()

    def answered(self, response: httpx.Response) -> None:
        """Stop the clock if Prefect has taken the state, or refused it: then the flow may go on, as with `retries`.

        Args:
            response: just received.
        """
        if self._concerns(response.request) and response.is_success:
            # The answer to another end, Crashed after SIGTERM, changes nothing about the flow's own.
            if _final_state(response.request) == self._offered:
                self._offered = None
            self.stop()

    def stop(self) -> None:
        """Stop the clock."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _concerns(self, request: httpx.Request) -> bool:
        return request.url.path.endswith(self._path)


def _final_state(request: httpx.Request) -> OfferedEnd | None:
    try:
        state = json.loads(request.content)["state"]
        if state["type"] not in close_runs.FINAL:
            return None
        return OfferedEnd(state["type"], state.get("name") or state["type"].capitalize(), state.get("message") or "")
    except (ValueError, KeyError, TypeError):
        return None
