"""Which Prefect a local run tells: the user's, or a server of its own for as long as it takes.

A server of its own keeps its records where Prefect on a laptop always does, in the user's PREFECT_HOME: they are there
after the run, for `prefect server start` to show.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from prefect_flowrun.laptop.commands import Command

API_URL = "PREFECT_API_URL"
_REACH = (API_URL, "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING")
# As the chart sets its server, see docs/benchmarks.md.
_SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
}


def users(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return how the user reaches Prefect, by the environment or by a profile; empty without an API's URL.

    Args:
        env: usually `os.environ`.
    """
    found = {name: env[name] for name in _REACH if env.get(name)}
    if API_URL in found:
        return found
    home = Path(env.get("PREFECT_HOME") or "~/.prefect").expanduser()
    try:
        profiles = tomllib.loads(Path(env.get("PREFECT_PROFILES_PATH") or home / "profiles.toml").read_text())
        profile = profiles["profiles"][env.get("PREFECT_PROFILE") or profiles["active"]]
        found = {**{name: str(profile[name]) for name in _REACH if name in profile}, **found}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if API_URL in found else {}


def command(port: int, folder: Path, env: Mapping[str, str]) -> Command:
    """Return a server of the run's own.

    Args:
        port: to listen on.
        folder: of the run.
        env: usually `os.environ`.
    """
    argv = [sys.executable, "-P", "-m", "prefect_flowrun.bundled_server"]
    return Command([*argv, "--host", "127.0.0.1", "--port", str(port), "--no-ui"], {**env, **_SETTINGS}, folder)
