"""Which Prefect a run on this machine tells."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from prefect_flowrun.laptop import prefect_server
from prefect_flowrun.laptop.prefect_server import free_port, users
from prefect_flowrun.laptop.problem import CannotRun

PROFILES = """
active = "work"
[profiles.ephemeral]
PREFECT_SERVER_ALLOW_EPHEMERAL_MODE = "true"
[profiles.work]
PREFECT_API_URL = "https://prefect.example.com/api"
PREFECT_API_KEY = "k"
"""


def test_the_environment_goes_first(tmp_path: Path) -> None:
    (tmp_path / "profiles.toml").write_text(PROFILES)
    env = {"PREFECT_HOME": str(tmp_path), "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    assert users(env) == {"PREFECT_API_URL": "http://127.0.0.1:9/api"}


def test_then_the_active_profile_or_the_one_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "profiles.toml").write_text(PROFILES)
    env = {"PREFECT_HOME": str(tmp_path)}
    assert users(env) == {"PREFECT_API_URL": "https://prefect.example.com/api", "PREFECT_API_KEY": "k"}
    assert users({**env, "PREFECT_API_KEY": "mine"})["PREFECT_API_KEY"] == "mine"
    assert users({**env, "PREFECT_PROFILE": "ephemeral"}) == {}


def test_else_there_is_none(tmp_path: Path) -> None:
    assert users({"PREFECT_HOME": str(tmp_path)}) == {}
    (tmp_path / "profiles.toml").write_text("not toml")
    assert users({"PREFECT_HOME": str(tmp_path)}) == {}


def test_a_port_that_is_taken_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr(prefect_server, "_PORTS", range(port, port + 1))
    monkeypatch.setattr(prefect_server, "_TRIES", 1)
    assert free_port() == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(CannotRun, match=f"no free port from {port} to {port}"):
            free_port()
