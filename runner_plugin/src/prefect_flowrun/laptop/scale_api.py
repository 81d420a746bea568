"""The two requests of the Kubernetes API that a driver makes, answered on a socket in the run's folder.

PATCH .../taskclusters/NAME/scale  {"spec": {"replicas": 2}}
GET   .../taskclusters/NAME        -> {"status": {"conditions": [{"type": "Ready", ...}]}}
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from prefect_flowrun.laptop.fleet import Fleet


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class ScaleApi:
    """Serves the fleets of one attempt.

    Args:
        socket: path of the socket; the folder is the run's own, and nobody else may read it.
        fleets: by name of their cluster.
    """

    def __init__(self, socket: Path, fleets: Mapping[str, Fleet]) -> None:
        socket.unlink(missing_ok=True)
        self._server = _Server(str(socket), _handler(fleets))
        threading.Thread(target=self._server.serve_forever, name="scale-api", daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def _handler(fleets: Mapping[str, Fleet]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fleet = fleets.get(self.path.rpartition("/")[2])
            self._answer({"status": {"conditions": [_ready(fleet)]}} if fleet is not None else None)

        def do_PATCH(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fleet = fleets.get(self.path.removesuffix("/scale").rpartition("/")[2])
            if fleet is not None:
                fleet.scale(int(body["spec"]["replicas"]))
            self._answer({} if fleet is not None else None)

        def _answer(self, body: Mapping[str, Any] | None) -> None:
            status = HTTPStatus.OK if body is not None else HTTPStatus.NOT_FOUND
            text = json.dumps(body if body is not None else {"message": "no such cluster"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def address_string(self) -> str:
            return "driver"

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _ready(fleet: Fleet) -> dict[str, str]:
    alive, wanted = fleet.alive, fleet.wanted
    ready = alive >= wanted
    return {
        "type": "Ready",
        "status": str(ready),
        "reason": "WorkersReady" if ready else "WorkersStarting",
        "message": f"{alive} of {wanted} worker processes run",
    }
