"""Ray clusters of a run, with real heads and workers: the driver as the operator runs it, the launcher of its pods."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import httpx
import psutil
import pytest
from clusters import RAY_ENVIRONMENT, ray_cluster, start_ray_worker


@pytest.fixture
def ray_drive(drive, tmp_path):
    """Start a driver with Ray clusters and a worker each: `ray_drive(entrypoint, parameters, contract...)`."""
    workers = []

    def start(entrypoint, parameters=None, *contracts, count=1, **environment):
        contracts = contracts or (ray_cluster("default"),)
        driven = drive(
            f"ray_flows.py:{entrypoint}",
            parameters,
            clusters=(),
            FLOWRUN_CLUSTERS=json.dumps(contracts),
            **RAY_ENVIRONMENT,
            **environment,
        )
        for contract in contracts:
            if contract["activation"] == "OnStart":
                driven.workers += [start_ray_worker(contract, tmp_path, f"worker-{n}") for n in range(count)]
        workers.extend(driven.workers)
        return driven

    # Drive.stop() would wait for them as for processes.
    yield start
    for worker in workers:
        worker.stop()


def test_a_flow_runs_on_ray_and_nothing_of_the_cluster_is_left(ray_drive, prefect_server):
    driven = ray_drive("on_ray")
    result = driven.finish()
    assert (result["type"], result["reason"]) == ("COMPLETED", "FlowCompleted"), driven.output
    assert "ran in 1 processes" in prefect_server.logs(result["flowRunId"])
    [worker] = driven.workers
    assert worker.process.wait(10) == 0
    assert "the head has gone" in worker.output
    assert not _processes_of(driven, worker)


def _processes_of(driven, *workers):
    """List what still runs of a driver's heads and of workers, by what their command lines name."""
    ports = [str(contract["port"]) for contract in json.loads(driven.env["FLOWRUN_CLUSTERS"])]
    names = [f":{port}" for port in ports] + [f"frw-{worker.ready_port}" for worker in workers]
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if any(name in line for name in names):
                found.append(line[:200])
    return found
