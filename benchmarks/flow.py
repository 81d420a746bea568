"""The flow that both systems run: tasks that only say when and where they ran.

FlowRun loads `main` from this file as it is. For dask-kubernetes the file is run as a script: then the driver itself
creates the cluster, as the documentation of prefect-dask tells users to.
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

from prefect import flow, task
from prefect.runtime import flow_run


@task
def mark(seconds: float) -> tuple[float, float, str]:
    began = time.time()
    time.sleep(seconds)
    return began, time.time(), socket.gethostname()


@flow
def main(tasks: int = 8, seconds: float = 0.0) -> None:
    began = time.time()
    marks = [future.result() for future in [mark.submit(seconds) for _ in range(tasks)]]
    found = {"container": container_start(), "body": began, "tasks": marks, "flow_run_id": str(flow_run.id)}
    print(f"BENCH {json.dumps(found)}", flush=True)


def container_start() -> float:
    """When the container's first process began, in the clock of `time.time`."""
    ticks = int(Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")


def run_on_kube_cluster() -> None:
    from dask_kubernetes.operator import KubeCluster  # noqa: PLC0415 - only where it runs as a script
    from dask_kubernetes.operator.kubecluster.kubecluster import make_cluster_spec  # noqa: PLC0415
    from prefect_dask import DaskTaskRunner  # noqa: PLC0415

    spec = make_cluster_spec(
        name=os.environ["BENCH_RUN"],
        image=os.environ["BENCH_IMAGE"],
        n_workers=int(os.environ["BENCH_WORKERS"]),
        resources=json.loads(os.environ["BENCH_RESOURCES"]),
        env={"PREFECT_API_URL": os.environ["PREFECT_API_URL"], "BENCH_RUN": os.environ["BENCH_RUN"]},
        # `dask-worker`, the default, is not in distributed 2026.8.
        worker_command=["dask", "worker", "--nthreads", "1"],
    )
    # The same for the scheduler, whose command has no option.
    spec["spec"]["scheduler"]["spec"]["containers"][0]["args"] = ["dask", "scheduler", "--host", "0.0.0.0"]
    kwargs = {
        "custom_cluster_spec": spec,
        "namespace": os.environ["BENCH_NAMESPACE"],
        "quiet": True,  # without a terminal its live view would only cost time
        "resource_timeout": 20,  # a start that hangs, hangs for good: fail sooner than after the stock 60 s
    }
    main.with_options(task_runner=DaskTaskRunner(cluster_class=KubeCluster, cluster_kwargs=kwargs))()


if __name__ == "__main__":
    run_on_kube_cluster()
