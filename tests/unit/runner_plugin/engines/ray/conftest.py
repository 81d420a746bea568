"""Drivers with Ray clusters of this machine."""

from __future__ import annotations

import json

import pytest
from loopback_clusters import RAY_ENVIRONMENT, ray_cluster, start_ray_worker


@pytest.fixture
def ray_drive(drive, tmp_path):
    """Start a driver with Ray clusters and a worker each: `ray_drive(entrypoint, parameters, contract...)`."""
    started = []

    def start(entrypoint, parameters=None, *contracts, count=1, file="ray_flows.py", **environment):
        contracts = contracts or (ray_cluster("default"),)
        driven = drive(
            f"{file}:{entrypoint}",
            parameters,
            clusters=(),
            FLOWRUN_CLUSTERS=json.dumps(contracts),
            **RAY_ENVIRONMENT,
            **environment,
        )
        for contract in contracts:
            if contract["activation"] == "OnStart":
                driven.workers += [start_ray_worker(contract, tmp_path, f"worker-{n}") for n in range(count)]
        started.append(driven)
        return driven

    yield start
    for driven in started:
        driven.process.terminate()
        for worker in driven.workers:
            worker.stop()
        driven.workers.clear()  # the rest of the driver's end takes them for processes
