"""What flows written for prefect-ray say, in our words."""

from __future__ import annotations

import re

import pytest
from prefect_ray.context import remote_options

from prefect_flowrun.engines.needs import Needs
from prefect_flowrun.runner.prefect_ray import settings


def test_remote_options_are_those_around_the_submit():
    assert settings.remote_options() == {}
    with remote_options(num_cpus=4, num_gpus=1), remote_options(num_cpus=2):
        assert settings.remote_options() == {"num_cpus": 2, "num_gpus": 1}
    assert settings.remote_options() == {}


def test_amounts_get_the_names_that_all_engines_know_and_the_rest_is_rays():
    options = {"num_cpus": 2, "num_gpus": 0.5, "resources": {"db": 1}, "memory": 10**9, "max_retries": 3}
    assert settings.needs_from(options) == Needs(2, {"db": 1, "GPU": 0.5}, {"memory": 10**9})


@pytest.mark.parametrize(
    ("engine", "names"), [("Ray", {"max_retries", "name"}), ("Dask", {"max_retries", "name", "memory"})]
)
def test_what_has_no_effect_is_named_with_the_reason(engine, names):
    options = {"num_cpus": 2, "memory": 10**9, "max_retries": 3, "name": "x"}
    found = settings.left_out(options, engine)
    assert set(found) == names
    assert "lost_task_retries" in found["max_retries"]


def test_the_runtime_environment_of_a_runner_is_that_of_its_tasks():
    environment = {"env_vars": {"A": "1"}}
    said, notes = settings.from_init_kwargs({"namespace": "prefect", "runtime_env": environment})
    assert (said, notes) == (Needs(ray={"runtime_env": environment}), [])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_cpus": 4}, "num_cpus"),
        ({"namespace": "mine"}, "namespace"),
        ({"object_store_memory": 1, "_temp_dir": "/x"}, "_temp_dir, object_store_memory"),
        ({"runtime_env": {"container": {"image": "i"}}}, r"workers\.image"),
        ({"runtime_env": {"image_uri": "i"}}, "podman"),
        ({"runtime_env": {"worker_process_setup_hook": "m.f"}}, "worker_process_setup_hook is left out"),
    ],
    ids=str,
)
def test_what_a_runner_says_without_effect_is_told(options, words):
    _, notes = settings.from_init_kwargs(options)
    assert len(notes) == 1
    assert re.search(words, notes[0])


def test_a_plain_runner_says_nothing():
    assert settings.from_init_kwargs({"namespace": "prefect", "ignore_reinit_error": True}) == (None, [])
