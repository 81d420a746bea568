"""A standalone cluster from the command line."""

from __future__ import annotations

import pytest

from flowrun.cli.files import cluster_file
from flowrun.cli.files.cluster_file import Workers
from flowrun.problem import Problem
from flowrun_api.kinds.taskcluster import TaskCluster


def test_its_manifest_is_one_that_the_operator_reads() -> None:
    workers = Workers(4, threads=2, cpu="500m", memory="1Gi")
    manifest = cluster_file.manifest("shared", "Ray", workers, "image:1", 600, dashboard=True)
    read = TaskCluster.model_validate({**manifest, "metadata": {**manifest["metadata"], "namespace": "d", "uid": "u"}})
    assert (read.spec.engine, read.spec.workers.replicas, read.spec.workers.threads) == ("Ray", 4, 2)
    assert (read.spec.image, read.spec.idle_seconds, read.spec.dashboard) == ("image:1", 600, True)
    assert manifest["spec"]["workers"]["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"memory": "1Gi"},
    }


def test_what_was_not_said_is_left_to_the_operator() -> None:
    manifest = cluster_file.manifest("shared", "dask", Workers(0), None, None, dashboard=False)
    assert manifest["spec"] == {"engine": "Dask", "workers": {"replicas": 0, "threads": 1}}


def test_another_engine_is_refused() -> None:
    with pytest.raises(Problem, match=r"--engine spark: one of dask, ray$"):
        cluster_file.manifest("shared", "spark", Workers(1), None, None, dashboard=False)
    with pytest.raises(Problem, match=r"--engine spark: one of dask, ray, none$"):
        cluster_file.engine_of("spark", "none")
