"""What flows written for prefect-ray, and for Ray itself, may do."""

import pytest
from case_tools import Case


@pytest.mark.case("ray/ray_init")
def test_ray_init_joins_the_runs_cluster_and_rays_own_tasks_run_there(case: Case) -> None:
    case.all_complete()


@pytest.mark.case("ray/remote_options")
def test_remote_options_say_what_a_task_needs(case: Case) -> None:
    case.all_complete()


@pytest.mark.case("ray/runtime_env")
def test_variables_of_a_runtime_environment_reach_the_tasks(case: Case) -> None:
    case.all_complete()


@pytest.mark.case("ray/own_shm")
def test_a_memory_volume_of_the_users_takes_the_place_of_ours(case: Case) -> None:
    case.all_complete()
