"""Options of the runner are checked when they are given."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from prefect_flowrun import ClusterTaskRunner
from prefect_flowrun.runner.options import EngineChoice, RunnerOptions, engine_override

ALL = {
    "cluster": "gpu",
    "engine": "ray",
    "fallback": "threads",
    "address": "127.0.0.1:8786",
    "workers": 4,
    "max_workers": 8,
    "min_workers": 2,
    "connect_timeout_s": 30.0,
    "exit_timeout_s": 0.0,
    "lost_task_retries": 3,
    "all_events": True,
    "performance_report_path": "report.html",
}


def test_every_option_arrives_and_a_duplicate_has_them_too():
    runner = ClusterTaskRunner(**ALL)
    assert runner.options.model_dump() == ALL
    assert runner.duplicate().options == runner.options


@pytest.mark.parametrize("name", ALL)
def test_runners_that_differ_in_one_option_are_not_equal(name):
    default = RunnerOptions().model_dump()[name]
    assert ClusterTaskRunner(**ALL) != ClusterTaskRunner(**{**ALL, name: default})
    assert ClusterTaskRunner(**ALL) == ClusterTaskRunner(**ALL)


def test_engines_may_be_written_as_in_the_flowrun():
    assert ClusterTaskRunner(engine="Dask") == ClusterTaskRunner(engine="dask")
    assert ClusterTaskRunner(engine=EngineChoice.RAY).options.engine is EngineChoice.RAY


@pytest.mark.parametrize(
    "option",
    [
        {"engine": "spark"},
        {"engine": ""},
        {"fallback": "cloud"},
        {"min_workers": -1},
        {"connect_timeout_s": 0},
        {"exit_timeout_s": -1},
        {"lost_task_retries": -1},
    ],
    ids=str,
)
def test_a_wrong_option_is_a_value_error_that_names_it(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        ClusterTaskRunner(**option)


def test_options_do_not_change():
    with pytest.raises(ValidationError):
        ClusterTaskRunner().options.min_workers = 3


@pytest.mark.parametrize(
    ("env", "engine"),
    [
        ({}, None),
        ({"FLOWRUN_ENGINE": ""}, None),
        ({"FLOWRUN_ENGINE": "threads"}, EngineChoice.THREADS),
        ({"FLOWRUN_ENGINE": "Ray"}, EngineChoice.RAY),
    ],
)
def test_the_environment_overrides_the_engine(env, engine):
    assert engine_override(env) is engine


def test_an_unknown_engine_in_the_environment_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match=r"FLOWRUN_ENGINE is 'spark'.*dask, ray, threads, sequential"):
        engine_override({"FLOWRUN_ENGINE": "spark"})
