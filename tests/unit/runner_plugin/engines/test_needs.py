"""What a task asks of the cluster."""

from __future__ import annotations

import pickle
import threading

import cloudpickle
import pytest
from prefect import task

from prefect_flowrun import needs
from prefect_flowrun.engines.dask.engine import _placement
from prefect_flowrun.engines.needs import Needs, needs_of

GPU = {"GPU": 1}


@task
@needs(num_cpus=2, resources=GPU)
def train():
    return "trained"


@task
def plain():
    return None


def test_a_task_that_says_nothing_needs_nothing():
    assert needs_of(plain) is None


def test_the_decorator_marks_the_task_and_every_copy_of_it():
    assert needs_of(train) == Needs(2, GPU)
    assert needs_of(train.with_options(name="other", retries=3)) == Needs(2, GPU)
    assert train.fn() == "trained"


def test_above_the_task_it_works_too():
    @needs(num_cpus=3)
    @task
    def above():
        return None

    assert needs_of(above) == Needs(3)
    assert above.name == "above"  # still a task


def test_an_async_task_can_be_marked():
    @task
    @needs(num_cpus=1)
    async def work():
        return None

    assert work.isasync
    assert needs_of(work) == Needs(1)


def test_around_submits_it_counts_for_tasks_without_a_mark_and_only_there():
    with needs(num_cpus=4):
        assert needs_of(plain) == Needs(4)
    assert needs_of(plain) is None


def test_around_submits_it_overrides_the_mark_in_what_it_says():
    with needs(num_cpus=4):
        assert needs_of(train) == Needs(4, GPU)
    with needs(resources={"GPU": 2, "disk": 1}):
        assert needs_of(train) == Needs(2, {"GPU": 2, "disk": 1})
    assert needs_of(train) == Needs(2, GPU)


def test_the_inner_one_wins():
    with needs(num_cpus=4, resources=GPU), needs(num_cpus=1):
        assert needs_of(plain) == Needs(1, GPU)


def test_an_error_in_between_ends_it():
    with pytest.raises(KeyError), needs(num_cpus=4):
        raise KeyError
    assert needs_of(plain) is None


def test_one_object_may_be_used_again_and_inside_itself():
    wide = needs(num_cpus=4)
    with wide, wide:
        assert needs_of(plain) == Needs(4)
    with wide:
        assert needs_of(plain) == Needs(4)
    assert needs_of(plain) is None


def test_other_threads_are_not_affected():
    seen = []
    with needs(num_cpus=4):
        thread = threading.Thread(target=lambda: seen.append(needs_of(plain)))
        thread.start()
        thread.join()
    assert seen == [None]


@pytest.mark.parametrize("wrong", [{"num_cpus": -1}, {"resources": {"GPU": -0.5}}], ids=str)
def test_a_negative_amount_is_an_error(wrong):
    with pytest.raises(ValueError, match="negative"):
        needs(**wrong)


def test_options_of_ray_stand_beside_amounts_that_all_engines_know():
    asked = needs(num_cpus=1, ray={"num_gpus": 1, "resources": {"db": 2}, "memory": 10**9, "scheduling_strategy": None})
    assert asked == Needs(1, {"GPU": 1, "db": 2}, {"memory": 10**9})
    assert hash(asked) == hash(needs(num_cpus=1, ray={"num_gpus": 1, "resources": {"db": 2}, "memory": 10**9}))


@pytest.mark.parametrize("name", ["name", "num_returns", "max_retries", "retry_exceptions"])
def test_options_that_the_engine_sets_are_refused_with_what_says_the_same(name):
    with pytest.raises(ValueError, match=f"{name!r}: .*(Prefect|one result|retries)"):
        needs(ray={name: 1})


def test_runtime_environments_are_laid_over_each_other_as_rays_are():
    outer = Needs(ray={"runtime_env": {"env_vars": {"A": "1", "B": "1"}, "working_dir": "gcs://a.zip"}})
    with needs(ray={"runtime_env": {"env_vars": {"B": "2"}}}):
        found = needs_of(plain, below=outer)
    assert found.ray["runtime_env"] == {"env_vars": {"A": "1", "B": "2"}, "working_dir": "gcs://a.zip"}


def test_who_goes_before_whom():
    below, above = Needs(1, {"a": 1, "b": 1, "c": 1, "GPU": 9}), Needs(3, {"b": 3, "c": 3})
    with needs(resources={"c": 4}):
        assert needs_of(train, below=below, above=above) == Needs(3, {"a": 1, "GPU": 1, "b": 3, "c": 4})


def test_what_was_given_can_change_later_without_effect():
    amounts = {"GPU": 1}
    asked = needs(resources=amounts)
    amounts["GPU"] = 8
    assert asked == Needs(None, GPU)
    assert hash(asked) == hash(Needs(None, GPU))


def test_a_marked_task_travels_with_its_mark():
    arrived = pickle.loads(cloudpickle.dumps(train))
    assert needs_of(arrived) == Needs(2, GPU)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (None, None),
        (Needs(), None),
        (Needs(2), {"CPU": 2}),
        (Needs(0), {"CPU": 0}),
        (Needs(None, GPU), {"GPU": 1}),
        (Needs(0.5, {"GPU": 1, "disk": 3}), {"CPU": 0.5, "GPU": 1, "disk": 3}),
    ],
    ids=str,
)
def test_dask_calls_them_resources_of_a_worker(asked, said):
    assert _placement(asked)["resources"] == said
