"""`python -m prefect_flowrun.coordinator`: the coordinator of a standalone TaskCluster, which has no driver.

Starts the scheduler or head that the contract describes, passes SIGTERM on, and ends with it. If nobody has used the
cluster for FLOWRUN_IDLE_SECONDS the coordinator ends by itself (it counts its clients and tasks), and the termination
message tells the operator so.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

from flowrun_api import environment
from flowrun_api.contract import DEFAULT_TERMINATION_LOG, ClusterContract, ContractError, clusters_from_env
from prefect_flowrun import pid1
from prefect_flowrun.coordinator.children import STOP_GRACE_S, EngineMissingError, command
from prefect_flowrun.engines.idle import IDLE_EXIT_CODE
from prefect_flowrun.source import work_folder


def main() -> NoReturn:
    """Run the coordinator that the environment describes; never returns."""
    if os.getpid() == 1:
        pid1.split_off_driver()
    try:
        cluster = contract(os.environ)
        argv, settings = command(cluster)
        work_folder.prepare()
    except (ContractError, EngineMissingError, work_folder.SourceError) as error:
        sys.exit(f"[flowrun] {error}")
    child = subprocess.Popen(argv, env={**os.environ, **settings}, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda number, frame: _stop(child, number, frame))
    code = child.wait()
    if code != IDLE_EXIT_CODE:
        sys.exit(f"[flowrun] The {cluster.engine} coordinator of {cluster.name!r} ended unasked (exit code {code})")
    message = f"Nobody has used the cluster for {os.environ[environment.IDLE_SECONDS]} s"
    log = Path(os.environ.get(environment.TERMINATION_LOG, DEFAULT_TERMINATION_LOG))
    log.write_text(json.dumps({"reason": "Idle", "message": message}))
    sys.exit(0)


def contract(env: Mapping[str, str]) -> ClusterContract:
    """Return the cluster that FLOWRUN_CLUSTER names.

    Args:
        env: usually `os.environ`.

    Raises:
        ContractError: FLOWRUN_CLUSTERS has no such cluster, or is none.
    """
    clusters = clusters_from_env(env) or ()
    name = env.get(environment.CLUSTER)
    for cluster in clusters:
        if name in (None, cluster.name):
            return cluster
    raise ContractError(f"FLOWRUN_CLUSTERS has no cluster {name!r}")


def _stop(child: subprocess.Popen[bytes], _number: int, _frame: FrameType | None) -> NoReturn:
    child.terminate()
    try:
        child.wait(STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
    os._exit(0)
