"""Results that outlive their run: cached ones are read by later runs, from wherever their workers are.

RESULT_STORAGE says where they are kept: a URL that fsspec understands (s3://bucket/results), a storage block of
Prefect (s3-bucket/results), or a folder, which will do as long as every worker is on this machine (if not set: a new
one).
"""

import os
import tempfile
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.filesystems import RemoteFileSystem

from prefect_flowrun import ClusterTaskRunner


@task(cache_policy=INPUTS, persist_result=True, log_prints=True)
def square(x: int) -> int:
    print(f"working on {x}")
    return x * x


@flow(task_runner=ClusterTaskRunner(engine="dask"), log_prints=True)
def squares(n: int) -> int:
    futures = square.map(range(n))
    total = sum(futures.result())
    cached = [future.state.name for future in futures].count("Cached")
    print(f"the sum is {total}; {cached} of {n} results were there already")
    return total


def result_storage(where: str) -> Path | str:
    if "://" in where:
        # Kept in Prefect, where the workers find it. Credentials go into settings=, or into their environment.
        RemoteFileSystem(basepath=where).save("task-runner-results", overwrite=True)
        return "remote-file-system/task-runner-results"
    return Path(where) if Path(where).is_absolute() else where


if __name__ == "__main__":
    where = os.environ.get("RESULT_STORAGE") or tempfile.mkdtemp()
    stored = squares.with_options(result_storage=result_storage(where))
    stored(2)
    # In this process, with what Dask's workers have kept.
    stored.with_options(task_runner=ClusterTaskRunner(engine="sequential"))(4)
