"""Where a runner's tasks go."""

from __future__ import annotations

import pytest

from flowrun_api.contract import ClusterContract
from prefect_flowrun.runner.options import EngineChoice, RunnerOptions
from prefect_flowrun.runner.placement import InProcess, OnCluster, OnLocalCluster, UnknownClusterError, choose


def cluster(name, engine):
    return ClusterContract(name=name, engine=engine, address="tcp://127.0.0.1:1", port=1, http_port=2)


CPU, SPARE, GPU = cluster("cpu", "Dask"), cluster("spare", "Dask"), cluster("gpu", "Ray")
RUN = (CPU, SPARE, GPU)
DASK, RAY, THREADS, SEQUENTIAL = EngineChoice


def target(override=None, clusters=RUN, **options):
    return choose(RunnerOptions(**options), override, clusters)


@pytest.mark.parametrize(
    ("options", "override", "expected"),
    [
        ({}, None, CPU),
        ({"cluster": "gpu"}, None, GPU),
        ({"engine": RAY}, None, GPU),
        ({"engine": DASK}, None, CPU),
        ({"cluster": "spare", "engine": DASK}, None, SPARE),
        # The environment's word is above the flow's, which may name a cluster of another engine.
        ({}, RAY, GPU),
        ({"cluster": "spare"}, RAY, GPU),
        ({"engine": THREADS}, DASK, CPU),
        # What a flow outside a FlowRun would use does not matter here.
        ({"fallback": "error"}, None, CPU),
    ],
)
def test_in_a_flowrun_tasks_go_to_a_cluster_of_it(options, override, expected):
    assert target(override, **options) == OnCluster(expected)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"cluster": "tpu"}, ["'tpu'"]),
        ({"cluster": "cpu", "engine": RAY}, ["'cpu'", "ray"]),
    ],
)
def test_a_cluster_that_the_run_does_not_have_is_an_error_that_names_those_it_has(options, named):
    with pytest.raises(UnknownClusterError) as caught:
        target(**options)
    for part in [*named, "'cpu' (Dask)", "'spare' (Dask)", "'gpu' (Ray)"]:
        assert part in str(caught.value)


def test_an_engine_that_the_run_does_not_have_is_an_error():
    with pytest.raises(UnknownClusterError, match=r"engine ray.*'cpu' \(Dask\)"):
        target(RAY, clusters=(CPU,))


@pytest.mark.parametrize("clusters", [RUN, (), None], ids=["FlowRun", "FlowRun without clusters", "laptop"])
@pytest.mark.parametrize("by", ["option", "environment"])
@pytest.mark.parametrize(("engine", "sequential"), [(THREADS, False), (SEQUENTIAL, True)])
def test_threads_and_sequential_stay_in_the_process_wherever_the_flow_runs(clusters, by, engine, sequential):
    options = {"engine": engine} if by == "option" else {"engine": RAY, "fallback": "error"}
    chosen = target(engine if by == "environment" else None, clusters, **options)
    assert chosen == InProcess(sequential=sequential)


def test_a_flowrun_without_clusters_uses_threads_and_says_so():
    chosen = target(clusters=())
    assert isinstance(chosen, InProcess)
    assert not chosen.sequential
    assert "no clusters" in chosen.reason


@pytest.mark.parametrize("options", [{"cluster": "gpu"}, {"engine": DASK}])
def test_a_flowrun_without_clusters_does_not_hide_that_one_was_asked_for(options):
    with pytest.raises(UnknownClusterError, match="none"):
        target(clusters=(), **options)


@pytest.mark.parametrize(
    ("options", "override", "expected"),
    [
        ({}, None, OnLocalCluster(DASK)),
        ({"engine": RAY}, None, OnLocalCluster(RAY)),
        ({"engine": DASK}, RAY, OnLocalCluster(RAY)),
        ({"cluster": "gpu"}, None, OnLocalCluster(DASK)),  # on a laptop there are no names
    ],
)
def test_outside_a_flowrun_a_cluster_on_this_machine_stands_in(options, override, expected):
    assert target(override, None, **options) == expected


def test_outside_a_flowrun_the_fallback_may_be_threads():
    chosen = target(None, None, engine=DASK, fallback="threads")
    assert isinstance(chosen, InProcess)
    assert not chosen.sequential
    assert "Not in a FlowRun" in chosen.reason


def test_outside_a_flowrun_the_fallback_may_be_an_error():
    with pytest.raises(RuntimeError, match="does not run in a FlowRun"):
        target(None, None, fallback="error")
