"""Ray clusters of a run, with real heads and workers: the driver as the operator runs it, the launcher of its pods."""

from __future__ import annotations

import contextlib
import json
import os
import time

import httpx
import psutil
import pytest
from loopback_clusters import ray_cluster, start_ray_worker

# These take minutes, and tests/cluster/test_ray.py does the like with pods: they are not part of `make test`.
pytestmark = pytest.mark.skipif("FLOWRUN_SLOW" not in os.environ, reason="takes minutes: FLOWRUN_SLOW=1 runs these")


def test_a_flow_runs_on_ray_and_nothing_of_the_cluster_is_left(ray_drive, prefect_server):
    driven = ray_drive("on_ray")
    result = driven.finish()
    assert (result["type"], result["reason"]) == ("COMPLETED", "FlowCompleted"), driven.output
    assert "ran in 1 processes" in prefect_server.logs(result["flowRunId"])
    [worker] = driven.workers
    assert worker.process.wait(10) == 0
    assert "the head has gone" in worker.output
    assert not _processes_of(driven, worker)


@pytest.mark.parametrize("process", ["raylet/raylet", "gcs_server", "engines.ray_head"])
def test_a_head_that_is_lost_ends_the_run_and_the_workers(ray_drive, prefect_server, tmp_path, process):
    driven = ray_drive("long_on_ray", {"started": str(tmp_path / "started")})
    driven.wait_for_file(tmp_path / "started")
    _child(driven.process.pid, process).kill()
    result = driven.finish(timeout=20)
    assert (result["type"], result["reason"]) == ("CRASHED", "CoordinatorLost")
    assert "Ray head of cluster 'default' ended unasked" in result["message"]
    assert prefect_server.flow_run(result["flowRunId"])["state_type"] == "CRASHED"
    assert driven.workers[0].process.wait(10) == 0
    assert not _processes_of(driven, *driven.workers)


def test_sigterm_ends_a_worker_in_the_middle_of_a_task(ray_drive, tmp_path):
    driven = ray_drive("long_on_ray", {"started": str(tmp_path / "started")})
    driven.wait_for_file(tmp_path / "started")
    [worker] = driven.workers
    worker.process.terminate()
    assert worker.process.wait(10) == 0
    driven.process.terminate()
    driven.finish(timeout=20)
    assert not _processes_of(driven, worker)


def test_a_cluster_on_demand_has_a_head_only_while_it_is_used(ray_drive, tmp_path):
    contract = ray_cluster("burst", activation="OnDemand", idleSeconds=1)
    driven = ray_drive("with_burst", {"pause": 5, "times": 2}, contract)
    ahead = start_ray_worker(contract, tmp_path)  # as the operator would by the scale
    driven.workers.append(ahead)
    assert ahead.process.wait(120) == 0
    assert "the head has gone" in ahead.output
    assert driven.process.poll() is None
    again = start_ray_worker(contract, tmp_path)
    driven.workers.append(again)
    assert driven.finish()["type"] == "COMPLETED", driven.output
    assert driven.output.count("Starting cluster 'burst' on demand: Ray, 1 worker(s)") == 2
    assert again.process.wait(10) == 0


def test_more_workers_than_the_flowrun_allows_is_the_flows_error(ray_drive):
    contract = ray_cluster("burst", activation="OnDemand", minWorkers=1, maxWorkers=4)
    result = ray_drive("too_many", None, contract).finish()
    assert result["type"] == "FAILED"
    assert "asks for 9 workers of cluster 'burst'; the FlowRun allows 1 to 4" in result["message"]


def test_one_ray_cluster_after_the_other_can_be_used_in_one_run(ray_drive):
    driven = ray_drive("one_after_the_other", None, ray_cluster("first"), ray_cluster("burst"))
    assert driven.finish()["type"] == "COMPLETED", driven.output


def test_a_worker_is_ready_only_once_it_is_registered_with_its_head(ray_drive, tmp_path):
    driven = ray_drive("long_on_ray", {"started": str(tmp_path / "started")})
    [worker] = driven.workers
    answers = []
    deadline = time.monotonic() + 120
    while (not answers or answers[-1] != 200) and time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            answers.append(httpx.get(f"http://127.0.0.1:{worker.ready_port}/ready", timeout=2).status_code)
        time.sleep(0.05)
    assert answers[0] == 503
    assert answers[-1] == 200
    assert "node up" in worker.output


def _child(pid, words):
    [found] = [each for each in psutil.Process(pid).children(recursive=True) if words in " ".join(each.cmdline())][:1]
    return found


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
