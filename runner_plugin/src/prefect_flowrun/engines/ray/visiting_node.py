"""A Ray node without CPUs beside a process that is no driver of a run: a notebook that uses a standalone cluster.

Ray's drivers need a node of the cluster on their own machine.
"""

from __future__ import annotations

import atexit
import subprocess
import sys

from prefect_flowrun.engines.ray import settings

_nodes: dict[str, subprocess.Popen[bytes]] = {}


def join(cluster: str, address: str) -> None:
    """Start a node for this process, unless it runs. Returns at once; `RayEngine.connect` waits for it.

    Args:
        cluster: name by which `RayEngine.connect` knows the cluster.
        address: HOST:PORT of the head.
    """
    node = _nodes.get(cluster)
    if node is not None and node.poll() is None:
        return
    ready = settings.ready_file(cluster)
    ready.unlink(missing_ok=True)
    argv = [sys.executable, "-P", "-m", "prefect_flowrun.engines.ray_worker", "--address", address, "--num-cpus", "0"]
    argv += ["--temp-dir", str(ready.parent), "--ready-file", str(ready)]
    _nodes[cluster] = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    atexit.register(_nodes[cluster].terminate)
