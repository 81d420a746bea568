"""Ports that a run may have."""

from __future__ import annotations

import socket

import pytest

from prefect_flowrun.laptop import ports
from prefect_flowrun.laptop.ports import free_port
from prefect_flowrun.laptop.problem import CannotRun


def test_a_port_that_is_taken_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr(ports, "_PORTS", range(port, port + 1))
    monkeypatch.setattr(ports, "_TRIES", 1)
    assert free_port() == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(CannotRun, match=f"no free port from {port} to {port}"):
            free_port()
