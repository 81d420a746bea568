"""What becomes of the settings of a DaskTaskRunner."""

from __future__ import annotations

import pytest
from prefect_dask import DaskTaskRunner

from flowrun_api.contract import ClusterContract
from prefect_flowrun.runner.prefect_dask.settings import translate


def cluster(**options):
    described = {"name": "c", "engine": "Dask", "address": "tcp://127.0.0.1:1", "port": 1, "http_port": 2}
    return ClusterContract(**described, **options)


FIXED = cluster(workers=2)
ELASTIC = cluster(workers=2, min_workers=1, max_workers=8, elastic=True)


@pytest.mark.parametrize(
    ("settings", "where", "options", "notes"),
    [
        ({}, FIXED, {}, []),
        ({"cluster_kwargs": {"n_workers": 2}}, FIXED, {}, []),
        ({"cluster_kwargs": {"n_workers": 4}}, FIXED, {}, ["'n_workers': 4}): the FlowRun gives cluster 'c' 2 worker"]),
        ({"cluster_kwargs": {"n_workers": 4}}, ELASTIC, {"workers": 4}, []),
        ({"cluster_kwargs": {"n_workers": 40}}, ELASTIC, {"workers": 8}, ["40}): the FlowRun gives cluster 'c' 8"]),
        ({"cluster_kwargs": {"threads_per_worker": 1}}, FIXED, {}, []),
        ({"cluster_kwargs": {"threads_per_worker": 3}}, FIXED, {}, ["run 1 task(s) at a time"]),
        (
            {"cluster_kwargs": {"memory_limit": "a secret", "processes": True}},
            FIXED,
            {},
            ["cluster_kwargs=...) has no effect on the run's cluster: memory_limit, processes"],
        ),
        ({"adapt_kwargs": {"minimum": 2, "maximum": 4}}, ELASTIC, {"workers": 2, "max_workers": 4}, []),
        ({"adapt_kwargs": {"minimum": 1, "maximum": 9}}, ELASTIC, {}, ["allows cluster 'c' 1 to 8 workers"]),
        ({"adapt_kwargs": {"minimum": 1}}, FIXED, {}, ["is not elastic"]),
        (
            {"adapt_kwargs": {"interval": "1s"}},
            ELASTIC,
            {},
            ["adapt_kwargs=...) has no effect on the run's cluster: int"],
        ),
        ({"client_kwargs": {"set_as_default": True}}, FIXED, {}, []),
        ({"client_kwargs": {"timeout": 3}}, FIXED, {}, ["timeout concern get_dask_client() in the flow only"]),
        ({"performance_report_path": "a.html"}, FIXED, {"performance_report_path": "a.html"}, []),
        ({"address": "tcp://elsewhere:1"}, FIXED, {}, ["DaskTaskRunner(address=...) has no effect"]),
        ({"cluster_class": "distributed.LocalCluster"}, FIXED, {}, ["DaskTaskRunner(cluster_class=...) has no effect"]),
    ],
)
def test_every_setting_is_an_option_or_named(settings, where, options, notes):
    found = translate(DaskTaskRunner(**settings), where)

    assert found.options == options
    assert len(found.notes) == len(notes)
    for note, part in zip(found.notes, notes, strict=True):
        assert part in note
        assert "secret" not in note


def test_settings_of_the_client_are_kept_for_clients_of_the_flow():
    found = translate(DaskTaskRunner(client_kwargs={"timeout": 3}), FIXED)

    assert dict(found.stands_for.client_kwargs) == {"timeout": 3, "set_as_default": False}
