"""A real Prefect server for the flows that the tests run in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect_server import PrefectServer, running_server


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with running_server(tmp_path_factory.mktemp("prefect-server")) as server:
        yield server


@pytest.fixture(scope="session")
def prefect_api(prefect_server: PrefectServer) -> Iterator[PrefectServer]:
    """The server, used by the flows of this process and by the processes that it starts."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_TO_API_BATCH_INTERVAL,
        temporary_settings,
    )

    settings = {
        PREFECT_API_URL: prefect_server.url,
        # Tests ask for logs soon after they were written.
        PREFECT_LOGGING_TO_API_BATCH_INTERVAL: 0.2,
        # The end of a flow waits up to a second for the thread that sends them.
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
    }
    helpers = str(Path(__file__).parent)  # pytest puts them on the path of this process only
    environment = {
        "PREFECT_API_URL": prefect_server.url,
        "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.2",
        "PYTHONPATH": os.pathsep.join([helpers, *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        with temporary_settings(settings):
            yield prefect_server
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
