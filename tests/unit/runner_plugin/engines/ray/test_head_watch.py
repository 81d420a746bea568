"""Whether a Ray head is there, as a worker sees it: a gRPC server's first words are enough."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from prefect_flowrun.engines.ray import head_watch
from prefect_flowrun.engines.ray.head_watch import HeadWatch

SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


class Head:
    """Listens, and answers a connection with the given bytes."""

    def __init__(self, answer=SETTINGS, port=0):
        self._answer = answer
        self._connections = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            connection.sendall(self._answer)

    def drop_connections(self):
        for connection in self._connections:
            with contextlib.suppress(OSError):  # dropped already
                connection.shutdown(socket.SHUT_RDWR)

    def die(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(head_watch, "HANDSHAKE_TIMEOUT_S", 20)
    monkeypatch.setattr(head_watch, "PATIENCE_S", 0.5)
    monkeypatch.setattr(head_watch, "_CHECK_INTERVAL_S", 0.1)


def gone(watch):
    """Wait in a thread; return it and where it says how the head's end was noticed."""
    said = []
    thread = threading.Thread(target=lambda: said.append(watch.wait_until_gone()), daemon=True)
    thread.start()
    return thread, said


def test_a_head_that_answers_is_there():
    assert HeadWatch("127.0.0.1", Head().port).wait_for_head(60)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["accepts only", "another protocol"])
def test_an_open_port_is_no_head(answer, monkeypatch):
    monkeypatch.setattr(head_watch, "HANDSHAKE_TIMEOUT_S", 0.2)
    assert not HeadWatch("127.0.0.1", Head(answer).port).wait_for_head(0.5)


def test_a_head_that_ends_is_noticed_by_its_connection(monkeypatch):
    monkeypatch.setattr(head_watch, "_CHECK_INTERVAL_S", 60)
    head = Head()
    watch = HeadWatch("127.0.0.1", head.port)
    assert watch.wait_for_head(60)
    thread, said = gone(watch)
    head.die()
    thread.join(60)
    assert said == ["its GCS has closed the connection and does not answer"]


def test_a_dropped_connection_is_not_the_end_of_the_head():
    head = Head()
    watch = HeadWatch("127.0.0.1", head.port)
    assert watch.wait_for_head(60)
    thread, said = gone(watch)
    head.drop_connections()
    thread.join(0.5)
    assert (thread.is_alive(), said) == (True, [])
    head.die()
    thread.join(60)
    assert said


def test_a_head_that_falls_silent_is_given_some_time(monkeypatch):
    head = Head()
    watch = HeadWatch("127.0.0.1", head.port)
    assert watch.wait_for_head(60)
    head._answer = b""
    monkeypatch.setattr(head_watch, "HANDSHAKE_TIMEOUT_S", 0.2)
    thread, said = gone(watch)
    thread.join(60)
    assert said == ["its GCS has not answered for 0.5 s"]
