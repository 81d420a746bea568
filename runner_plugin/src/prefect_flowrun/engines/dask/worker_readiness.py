"""Readiness of a Dask worker over HTTP: 200 once it is registered with its scheduler, 503 before.

Listed in `distributed.worker.http.routes`, which makes distributed serve these routes on the worker's HTTP port. The
stock /health answers as soon as the process listens, long before the worker can run a task.
"""

from __future__ import annotations

from typing import Any

from distributed.core import Status
from distributed.http.utils import RequestHandler


class ReadyHandler(RequestHandler):  # type: ignore[misc] # distributed is untyped
    """GET /ready."""

    def get(self) -> None:
        """Answer 200 if the scheduler has taken this worker in, else 503."""
        # `running` is set by the scheduler's reply to the registration; paused and closing workers are not ready.
        ready = self.server.status is Status.running
        self.set_status(200 if ready else 503)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write("ready" if ready else "not registered with the scheduler")


routes: list[tuple[str, type[ReadyHandler], dict[str, Any]]] = [(r"ready", ReadyHandler, {})]
