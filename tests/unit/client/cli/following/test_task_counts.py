"""How many task runs there are in which state."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from stand_in import until

from flowrun.cli.following.task_counts import TaskCounts


class Prefect(BaseHTTPRequestHandler):
    asked: list[tuple[str, str | None]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        (state,) = body["task_runs"]["state"]["type"]["any_"]
        assert body["flow_runs"]["id"]["any_"] == ["the-run"]
        self.asked.append((self.path, self.headers["Authorization"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"7" if state == "COMPLETED" else b"0")

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def prefect() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Prefect)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api"
    server.shutdown()


def test_they_are_asked_of_prefect_with_the_users_credentials(prefect: str) -> None:
    counts = TaskCounts({"PREFECT_API_URL": prefect, "PREFECT_API_KEY": "pnu_x"})
    assert counts.of("") == {}
    until(lambda: counts.of("the-run").get("Completed") == 7)
    assert Prefect.asked[-1] == ("/api/task_runs/count", "Bearer pnu_x")


def test_without_prefect_there_are_none() -> None:
    assert TaskCounts({}).of("the-run") == {}
    assert TaskCounts({"PREFECT_API_URL": "file:///etc/passwd"}).of("the-run") == {}
