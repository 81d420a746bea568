"""Which Prefect a run on this machine tells."""

from __future__ import annotations

from pathlib import Path

from prefect_flowrun.laptop.prefect_server import users

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
