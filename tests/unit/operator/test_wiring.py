import pytest
from operator_testing.builders import NAMESPACE, raw_cluster, raw_pod, raw_run

from flowrun_operator.build.labels import labels, owner
from flowrun_operator.loop.cache import CHILD_KINDS
from flowrun_operator.wiring import RESOURCES, keys_of


def keys(kind: str, raw: dict) -> set[tuple[str, str]]:
    found = keys_of(kind, raw)
    assert all(key.namespace == NAMESPACE for key in found)
    return {(key.kind, key.name) for key in found}


WORKER = raw_pod(
    name="etl-1-default-w-0",
    labels=labels("etl", 1, role="worker", cluster="default"),
    ownerReferences=owner("TaskCluster", "etl-1-default", "u"),
)
DRIVER = raw_pod(labels=labels("etl", 1, role="driver"), ownerReferences=owner("Job", "etl-1", "u"))
JOB = {"metadata": {"name": "etl-1", "namespace": NAMESPACE, "labels": labels("etl", 1, role="driver")}}
SERVICE = {**WORKER, "kind": "Service"}

TABLE = [
    ("a run concerns itself", "FlowRun", raw_run(), {("FlowRun", "etl")}),
    (
        "a cluster concerns itself and its run",
        "TaskCluster",
        raw_cluster(),
        {("TaskCluster", "etl-1-default"), ("FlowRun", "etl")},
    ),
    (
        "a worker concerns its cluster and its run",
        "Pod",
        WORKER,
        {("TaskCluster", "etl-1-default"), ("FlowRun", "etl")},
    ),
    ("a driver concerns its run", "Pod", DRIVER, {("FlowRun", "etl")}),
    ("a Job concerns its run", "Job", JOB, {("FlowRun", "etl")}),
    (
        "a service concerns its cluster and its run",
        "Service",
        SERVICE,
        {("TaskCluster", "etl-1-default"), ("FlowRun", "etl")},
    ),
    ("a foreign pod concerns nobody", "Pod", raw_pod(), set()),
]


@pytest.mark.parametrize(("kind", "raw", "expected"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE])
def test_whom_a_change_concerns(kind, raw, expected):
    assert keys(kind, raw) == expected


def test_every_kind_that_is_compared_is_watched():
    assert set(RESOURCES) == {"FlowRun", *CHILD_KINDS}
