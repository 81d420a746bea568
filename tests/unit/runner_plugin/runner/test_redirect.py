"""Which runners of unmodified flows are replaced."""

from __future__ import annotations

import pytest
from prefect.flows import Flow
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner
from prefect_dask.task_runners import DaskTaskRunner
from prefect_ray import RayTaskRunner

from flowrun_api.contract import ClusterContract, RedirectPolicy
from prefect_flowrun import ClusterTaskRunner
from prefect_flowrun.engines.needs import Needs
from prefect_flowrun.runner import redirect


def cluster(name, engine):
    return ClusterContract(name=name, engine=engine, address="tcp://127.0.0.1:1", port=1, http_port=2)


DASK = cluster("dask", "Dask")
RAY = cluster("ray", "Ray")
ALL, DEFAULT_ONLY = RedirectPolicy.ALL, RedirectPolicy.DEFAULT_ONLY
EXPLICIT, NONE = RedirectPolicy.EXPLICIT, RedirectPolicy.NONE


DEFAULT = ThreadPoolTaskRunner()  # what Prefect gives a flow that names none
THREADS = ThreadPoolTaskRunner()


@pytest.mark.parametrize(
    ("runner", "clusters", "policy", "chosen"),
    [
        (DEFAULT, [DASK, RAY], ALL, "dask"),
        (DEFAULT, [RAY, DASK], ALL, "ray"),
        (DEFAULT, [DASK], DEFAULT_ONLY, "dask"),
        (DEFAULT, [DASK], EXPLICIT, "dask"),
        (DEFAULT, [DASK], NONE, None),
        (DEFAULT, [], ALL, None),
        (THREADS, [DASK], ALL, None),
        (THREADS, [DASK], DEFAULT_ONLY, None),
        (THREADS, [DASK], EXPLICIT, None),
        (ThreadPoolTaskRunner(max_workers=2), [DASK], ALL, None),
        (ProcessPoolTaskRunner(), [DASK], EXPLICIT, None),
        (DaskTaskRunner(), [RAY, DASK], ALL, "dask"),
        (DaskTaskRunner(), [DASK], EXPLICIT, "dask"),
        (DaskTaskRunner(cluster_kwargs={"n_workers": 4}), [DASK], ALL, "dask"),
        (DaskTaskRunner(), [RAY], ALL, None),
        (DaskTaskRunner(), [DASK], DEFAULT_ONLY, None),
        (DaskTaskRunner(address="tcp://elsewhere:8786"), [DASK], ALL, None),
        (DaskTaskRunner(cluster=object()), [DASK], ALL, None),
        (DaskTaskRunner(cluster_class="distributed.LocalCluster"), [DASK], ALL, None),
        (DaskTaskRunner(address="tcp://elsewhere:8786"), [DASK], EXPLICIT, "dask"),
        (DaskTaskRunner(cluster=object()), [DASK], EXPLICIT, "dask"),
        (DaskTaskRunner(cluster_class="distributed.LocalCluster"), [RAY, DASK], EXPLICIT, "dask"),
        (DaskTaskRunner(cluster_class="distributed.LocalCluster"), [RAY], EXPLICIT, None),
        (RayTaskRunner(), [DASK, RAY], ALL, "ray"),
        (RayTaskRunner("auto"), [RAY], ALL, "ray"),
        (RayTaskRunner(init_kwargs={"num_cpus": 4}), [RAY], ALL, "ray"),
        (RayTaskRunner(init_kwargs={"address": "auto"}), [RAY], ALL, "ray"),
        (RayTaskRunner(init_kwargs={"address": "ray://elsewhere:10001"}), [RAY], ALL, None),
        (RayTaskRunner(init_kwargs={"address": "local"}), [RAY], ALL, None),
        (RayTaskRunner("ray://elsewhere:10001"), [RAY], ALL, None),
        (RayTaskRunner("ray://elsewhere:10001"), [RAY], EXPLICIT, "ray"),
        (ClusterTaskRunner("ray"), [DASK, RAY], ALL, "ray"),
    ],
)
def test_the_table_of_choices(runner, clusters, policy, chosen):
    replacement = redirect.choose(runner, clusters, policy, is_default=runner is DEFAULT)
    if chosen is None:
        assert replacement is runner
    else:
        assert replacement == ClusterTaskRunner(chosen)


def test_what_rays_runner_said_goes_along():
    environment = {"env_vars": {"A": "1"}}
    asked = RayTaskRunner(init_kwargs={"runtime_env": environment, "num_cpus": 4})
    replacement = redirect.choose(asked, [RAY], ALL)
    assert replacement.stands_for.needs == Needs(ray={"runtime_env": environment})
    (note,) = replacement.stands_for.notes
    assert note.startswith("RayTaskRunner(init_kwargs=...), left out: num_cpus. ")
    assert replacement.duplicate().stands_for == replacement.stands_for, "Prefect enters a duplicate"


def test_an_address_that_explicit_passes_over_is_told():
    replacement = redirect.choose(RayTaskRunner("ray://elsewhere:10001"), [RAY], EXPLICIT)
    assert replacement.stands_for.notes[0].startswith("RayTaskRunner(address=...) has no effect")


@pytest.fixture
def flows_as_they_were(monkeypatch):
    monkeypatch.setattr(Flow, "__init__", Flow.__init__)
    monkeypatch.setattr(redirect, "_installed", None)


@pytest.mark.parametrize("named", [ThreadPoolTaskRunner, ThreadPoolTaskRunner()], ids=["class", "instance"])
def test_a_thread_pool_that_a_flow_names_is_not_taken_for_the_default(flows_as_they_were, named):
    redirect.install([DASK], ALL)

    explicit = Flow(lambda: None, name="explicit", task_runner=named)

    assert explicit.task_runner == ThreadPoolTaskRunner()
    assert explicit.with_options(name="other").task_runner == ThreadPoolTaskRunner()


def test_workers_replace_the_runners_of_their_own_engine(flows_as_they_were):
    redirect.install_on_worker("all", "Dask")
    redirect.install_on_worker("all", "Dask")  # once for each task

    assert Flow(lambda: None, name="default").task_runner == ClusterTaskRunner()
    assert Flow(lambda: None, name="dask", task_runner=DaskTaskRunner()).task_runner == ClusterTaskRunner()
    elsewhere = DaskTaskRunner(address="tcp://elsewhere:8786")
    assert Flow(lambda: None, name="elsewhere", task_runner=elsewhere).task_runner is elsewhere
    assert redirect.installed() == "all"


def test_every_flow_made_after_the_redirect_is_caught_but_explicit_choices_stay(flows_as_they_were):
    redirect.install([DASK], ALL)
    flow = Flow(lambda: None, name="late")
    assert flow.task_runner == ClusterTaskRunner("dask")
    assert flow.with_options(name="other").task_runner == ClusterTaskRunner("dask")
    assert flow.with_options(task_runner=DaskTaskRunner).task_runner == ClusterTaskRunner("dask")
    explicit = ThreadPoolTaskRunner(max_workers=1)
    assert flow.with_options(task_runner=explicit).task_runner is explicit
