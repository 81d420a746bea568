"""Which runners of unmodified flows are replaced."""

from __future__ import annotations

import pytest
from prefect.flows import Flow
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner
from prefect_dask.task_runners import DaskTaskRunner

from prefect_flowrun import ClusterTaskRunner
from prefect_flowrun.contract import ClusterContract, RedirectPolicy
from prefect_flowrun.driver import redirect


def cluster(name, engine):
    return ClusterContract(name=name, engine=engine, address="tcp://127.0.0.1:1", port=1, http_port=2)


DASK = cluster("dask", "Dask")
RAY = cluster("ray", "Ray")
ALL, DEFAULT_ONLY, NONE = RedirectPolicy.ALL, RedirectPolicy.DEFAULT_ONLY, RedirectPolicy.NONE


@pytest.mark.parametrize(
    ("runner", "clusters", "policy", "chosen"),
    [
        (ThreadPoolTaskRunner(), [DASK, RAY], ALL, "dask"),
        (ThreadPoolTaskRunner(), [RAY, DASK], ALL, "ray"),
        (ThreadPoolTaskRunner(), [DASK], DEFAULT_ONLY, "dask"),
        (ThreadPoolTaskRunner(), [DASK], NONE, None),
        (ThreadPoolTaskRunner(), [], ALL, None),
        (ThreadPoolTaskRunner(max_workers=2), [DASK], ALL, None),
        (ProcessPoolTaskRunner(), [DASK], ALL, None),
        (DaskTaskRunner(), [RAY, DASK], ALL, "dask"),
        (DaskTaskRunner(cluster_kwargs={"n_workers": 4}), [DASK], ALL, "dask"),
        (DaskTaskRunner(), [RAY], ALL, None),
        (DaskTaskRunner(), [DASK], DEFAULT_ONLY, None),
        (DaskTaskRunner(address="tcp://elsewhere:8786"), [DASK], ALL, None),
        (DaskTaskRunner(cluster=object()), [DASK], ALL, None),
        (DaskTaskRunner(cluster_class="distributed.LocalCluster"), [DASK], ALL, None),
        (ClusterTaskRunner("ray"), [DASK, RAY], ALL, "ray"),
    ],
)
def test_the_table_of_choices(runner, clusters, policy, chosen):
    replacement = redirect.choose(runner, clusters, policy)
    if chosen is None:
        assert replacement is runner
    else:
        assert replacement == ClusterTaskRunner(chosen)


def test_every_flow_made_after_the_redirect_is_caught_but_explicit_choices_stay(monkeypatch):
    monkeypatch.setattr(Flow, "__init__", Flow.__init__)
    redirect.install([DASK], ALL)
    flow = Flow(lambda: None, name="late")
    assert flow.task_runner == ClusterTaskRunner("dask")
    assert flow.with_options(name="other").task_runner == ClusterTaskRunner("dask")
    assert flow.with_options(task_runner=DaskTaskRunner).task_runner == ClusterTaskRunner("dask")
    explicit = ThreadPoolTaskRunner(max_workers=1)
    assert flow.with_options(task_runner=explicit).task_runner is explicit
